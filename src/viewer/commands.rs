//! The one table of commands. Keys, footer, `?` help, the `:` palette, `config/keymap.toml` and the README's key table are
//! derived from it, so they cannot drift apart. Risk is a property of the command: no way of starting one skips it.

use super::acts;
use super::acts::past;
use super::app::App;
use super::past::Move;
use super::why;
use crate::domain::run::Risk;

/// Where a binding holds. Nearer ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    Global,
    Services,
    Backups,
    Timeline,
    Runs,
    Incident,
    /// A playbook that was started.
    Playbook,
    /// A run's output.
    Output,
    /// The past.
    Replay,
    /// While a filter or a search is active.
    Filter,
}

impl Context {
    pub const ALL: &'static [Context] = &[
        Context::Global,
        Context::Services,
        Context::Backups,
        Context::Timeline,
        Context::Runs,
        Context::Incident,
        Context::Playbook,
        Context::Output,
        Context::Replay,
        Context::Filter,
    ];

    /// The table's name in a keymap file.
    pub const fn name(self) -> &'static str {
        match self {
            Context::Global => "global",
            Context::Services => "services",
            Context::Backups => "backups",
            Context::Timeline => "timeline",
            Context::Runs => "runs",
            Context::Incident => "incident",
            Context::Playbook => "playbook",
            Context::Output => "output",
            Context::Replay => "replay",
            Context::Filter => "filter",
        }
    }
}

/// A thing that can be done.
#[derive(Debug)]
pub struct Command {
    pub id: &'static str,
    pub title: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// Built-in bindings.
    pub keys: &'static [&'static str],
    pub context: Context,
    pub risk: Risk,
    /// The word in the footer; empty for commands that are not shown there.
    pub hint: &'static str,
    /// Why it cannot be done now, in words a person can act on.
    pub why_not: fn(&App) -> Option<String>,
    pub run: fn(&mut App),
}

type Why = fn(&App) -> Option<String>;
type Run = fn(&mut App);

const fn look(
    id: &'static str,
    keys: &'static [&'static str],
    context: Context,
    hint: &'static str,
    (title, doc): (&'static str, &'static str),
    (why_not, run): (Why, Run),
) -> Command {
    Command { id, title, doc, keys, context, risk: Risk::Observe, hint, why_not, run }
}

const fn act(
    id: &'static str,
    keys: &'static [&'static str],
    context: Context,
    hint: &'static str,
    (title, doc): (&'static str, &'static str),
    (why_not, run): (Why, Run),
) -> Command {
    Command { id, title, doc, keys, context, risk: Risk::Disruptive, hint, why_not, run }
}

const fn destroy(mut command: Command) -> Command {
    command.risk = Risk::Destructive;
    command
}

use Context::{Filter, Global, Output, Playbook, Replay, Runs, Services, Timeline};

/// All commands, in the order in which help lists them.
#[rustfmt::skip]
pub const ALL: &[Command] = &[
    // Acting on a service or a backup.
    act("service.restart", &["r"], Global, "restart", ("restart", "Plan a restart of the selected service, show the exact commands, and ask."), (why::may_plan, acts::runs::restart)),
    act("service.stop", &[], Global, "", ("stop", "Plan a stop of a service, and ask."), (why::may_plan, acts::runs::stop)),
    act("service.start", &[], Global, "", ("start", "Plan a start of a service, and ask."), (why::may_plan, acts::runs::start)),
    act("service.redeploy", &[], Global, "", ("redeploy", "Plan deploying the selected service again, and ask."), (why::may_plan, acts::runs::redeploy)),
    destroy(act("service.promote", &[], Services, "", ("promote", "Plan making a standby the one that takes writes, by its own command; its name is typed."), (why::may_plan, acts::runs::promote))),
    look("service.logs", &[], Global, "", ("logs", "Read the last lines of the selected service's log; they are kept as the output of a run."), (why::may_read_log, acts::runs::logs)),
    act("backup.restore", &["R"], Global, "restore", ("restore", "Choose a copy, see what data it loses, and restore it beside the live data."), (why::may_restore, acts::runs::restore)),
    act("action.run", &["e"], Global, "actions", ("run an action", "Choose one of the configured actions, see its plan, and ask."), (why::has_actions, acts::runs::action)),
    // The incident.
    look("incident.declare", &["d"], Global, "declare", ("declare an incident", "Title, severity and affected services are filled in from what is down; Enter declares."), (why::may_act, acts::incident::declare)),
    look("incident.acknowledge", &["a"], Global, "ack", ("acknowledge", "Take the incident; whoever does leads it until somebody else is named."), (why::can_acknowledge, acts::incident::acknowledge)),
    look("note.write", &["."], Global, "note", ("write a note", "One line into the timeline; Enter sends, Ctrl-J starts another line."), (why::not_read_only, acts::incident::note)),
    look("incident.severity", &["v"], Global, "", ("change the severity", "P0 to P3."), (why::open_incident, acts::incident::severity)),
    look("incident.status", &["s"], Global, "status", ("change the status", "Investigating, identified, monitoring, resolved; what stands against resolving is shown."), (why::any_incident, acts::incident::status)),
    look("incident.assign", &["w"], Global, "", ("assign a role", "Name the commander, or another role."), (why::open_incident, acts::incident::assign)),
    look("incident.services", &["x"], Global, "", ("affected services", "Choose which services the incident affects."), (why::open_incident, acts::incident::services)),
    look("incident.title", &[], Global, "", ("change the title", "Give the incident another title."), (why::open_incident, acts::incident::retitle)),
    look("incident.reopen", &[], Global, "", ("reopen", "Open a resolved incident again, with a reason."), (why::closed_incident, acts::incident::reopen)),
    look("hypothesis.open", &["h"], Global, "", ("hypotheses", "What might be wrong: open one, add evidence for or against, rule it out."), (why::any_incident_known, acts::incident::hypotheses)),
    look("handoff.open", &["H"], Global, "", ("how it stands, and handing over", "The incident in at most 24 lines; hand the lead over, or take it."), (why::any_incident_known, acts::incident::capsule)),
    act("notify.compose", &["n"], Global, "notify", ("notify", "Write a message from a template, choose channels, and send it after the preview."), (why::has_channels, acts::messages::compose)),
    act("update.send", &["m"], Global, "", ("send what is due", "Preview the message that is due next, made from what happened since the last one; y sends it."), (why::draft_readable, acts::leading::send_due)),
    look("update.snooze", &[], Global, "", ("snooze the next update", "Put the next update off for a while, with a reason."), (why::update_is_due, acts::leading::snooze)),
    look("contacts.open", &["@"], Global, "", ("whom to call", "The level reached, the numbers, the sentence to read aloud; logs who answered and who did not."), (why::has_contacts, acts::leading::contacts)),
    look("incident.onset", &[], Global, "", ("set the onset", "Say when the trouble began, with a reason; the one before stays on record."), (why::any_incident, acts::leading::onset)),
    look("incident.merge", &[], Global, "", ("merge", "Close the incident into another open one, which goes on with its services."), (why::two_incidents, acts::leading::merge)),
    look("incident.false-alarm", &[], Global, "", ("false alarm", "Close the incident as one that was none, with a reason."), (why::any_incident, acts::leading::false_alarm)),
    look("followup.open", &["F"], Context::Incident, "", ("follow-ups", "What is to be done after incidents: open one, close it, take up what TODO notes propose, see what is late."), (why::any_incident_known, acts::incident::followups)),
    look("incident.review", &[], Global, "", ("review", "Say who writes the incident's review, how far it is, and when it is talked over."), (why::any_incident, acts::incident::review)),
    look("incident.past", &[], Global, "", ("past incidents", "Search the incidents before; Enter shows all there is about one."), (why::any_incident_known, acts::incident::past)),
    destroy(act("incident.cut-over", &["C"], Context::Incident, "", ("cut over to the head start", "Put what was restored for the incident by itself in the live place; the name is typed."), (why::can_use_head_start, acts::runs::use_head_start))),
    // Runs.
    look("run.output", &["o"], Global, "output", ("run output", "Follow the output of the selected run, or of the newest."), (why::has_runs, acts::runs::output)),
    act("run.cancel", &["c"], Runs, "cancel", ("cancel", "Ask the selected run to stop."), (why::can_cancel, acts::runs::cancel)),
    destroy(act("run.cut-over", &["C"], Runs, "cut over", ("cut over", "Put the restored side copy in the live place; the name is typed."), (why::can_cut_over, acts::runs::cut_over))),
    destroy(act("run.undo", &["U"], Runs, "undo", ("undo a cut-over", "Put back what was live before; says what is lost by it."), (why::can_undo, acts::runs::undo))),
    destroy(act("run.drop", &["D"], Runs, "drop", ("drop a side copy", "Drop what a restore left beside or kept."), (why::can_drop, acts::runs::drop))),
    // Second persons, tags and holds.
    act("approval.open", &["Y"], Global, "", ("approve", "Look at what waits for a second person: approve it, or break the glass."), (acts::guard::someone_waits, acts::guard::approvals)),
    look("approval.decline", &[], Global, "", ("decline a request", "Say no to what another asked for, with a reason."), (acts::guard::others_wait, acts::guard::decline)),
    look("service.tag", &["#"], Services, "", ("tag", "Tag the selected service so that nobody touches it, or take the tag off or over."), (acts::guard::service_chosen, acts::guard::tag)),
    look("service.untag", &[], Services, "", ("take a tag off", "Take the tag off the selected service; another's needs a reason."), (acts::guard::can_untag, acts::guard::untag)),
    look("service.hold", &["K"], Services, "", ("hold or release", "Hold the selected service so that it is neither restarted nor restored; or release it, as commander."), (acts::guard::service_chosen, acts::guard::hold)),
    look("hold.everything", &[], Global, "", ("hold everything", "Nothing is restarted or restored until the commander releases it."), (why::may_act, acts::guard::hold_everything)),
    look("hold.release", &[], Global, "", ("release all holds", "Release all that is held, as commander."), (acts::guard::something_held, acts::guard::release_everything)),
    // Playbooks and checklists.
    look("playbook.open", &["p"], Global, "playbook", ("playbook", "Show the playbook that is under way, or choose one; those that fit what is down come first."), (why::any_playbook, acts::playbook::open)),
    act("playbook.do", &["enter"], Playbook, "do it", ("playbook: do the step", "Carry out the step: its plan, its message, its choice; or say that it is done."), (why::playbook_open, acts::playbook::go)),
    look("playbook.tick", &["space"], Playbook, "tick", ("playbook: tick", "Tick the item of the checklist under the cursor, or take the tick back."), (why::playbook_ticks, acts::playbook::tick)),
    look("playbook.failed", &["F"], Playbook, "failed", ("playbook: failed", "The step failed; says why."), (why::playbook_open, acts::playbook::failed)),
    look("playbook.again", &["A"], Playbook, "", ("playbook: again", "Try a step that failed once more."), (why::playbook_failed, acts::playbook::again)),
    look("playbook.go-on", &["O"], Playbook, "", ("playbook: go on", "Take the way on although the step failed, with a reason; it stays failed."), (why::playbook_failed, acts::playbook::go_on)),
    look("playbook.skip", &["S"], Playbook, "skip", ("playbook: skip the step", "Pass over the step, with a reason."), (why::playbook_open, acts::playbook::skip)),
    look("playbook.evidence", &["V"], Playbook, "evidence", ("playbook: evidence", "Keep what shows that the step was done."), (why::playbook_open, acts::playbook::evidence)),
    look("playbook.leave", &["L"], Playbook, "leave", ("playbook: leave", "Leave it for somebody else, or for later."), (why::playbook_open, acts::playbook::leave)),
    look("playbook.stop", &["X"], Playbook, "", ("playbook: stop", "End it before its end, with a reason."), (why::playbook_open, acts::playbook::stop)),
    // Recoveries of whole systems.
    act("recovery.open", &["W"], Context::Incident, "recover", ("recover a whole system", "Start a configured recovery after seeing every step, or answer the one that is under way."), (why::may_recover, acts::recovery::open)),
    act("recovery.resume", &[], Global, "", ("recovery: resume", "Try the step again at which the recovery stopped, or wait on; shows first what has changed."), (why::recovery_asks, acts::recovery::resume)),
    look("recovery.done", &[], Global, "", ("recovery: done", "The step that a person does is done, or its effect was seen."), (why::recovery_wants_word, acts::recovery::done)),
    look("recovery.failed", &[], Global, "", ("recovery: failed", "The step that a person does failed; says why."), (why::recovery_wants_word, acts::recovery::failed)),
    look("recovery.skip", &[], Global, "", ("recovery: skip the step", "Pass over the step that the recovery is at, with a reason."), (why::recovery_open, acts::recovery::skip)),
    look("recovery.stop", &[], Global, "", ("recovery: stop", "End the recovery; a run that is under way goes on."), (why::recovery_open, acts::recovery::stop)),
    // Looking.
    look("open", &["enter"], Global, "open", ("open", "All there is about the selected row."), (why::has_row, acts::view::open)),
    look("filter.open", &["/"], Global, "filter", ("filter", "Show only rows with these words; in the timeline also actor:bob kind:run service:api pinned hidden; in output: search."), (why::never, acts::view::filter)),
    look("match.next", &["n"], Filter, "", ("next match", "The next match of the filter or search."), (why::never, acts::view::next_match)),
    look("match.previous", &["N"], Filter, "", ("previous match", "The match before."), (why::never, acts::view::previous_match)),
    look("output.follow", &["F"], Output, "follow", ("follow", "Stay at the end as more comes in."), (why::never, acts::view::follow)),
    look("timeline.scope", &["i"], Timeline, "scope", ("what the timeline shows", "The story as it was corrected, everything as it was recorded, or this incident alone."), (why::never, acts::view::scope)),
    look("timeline.pick", &["space"], Timeline, "pick", ("pick a row", "Pick several rows to pin, hide or join them together; of a heading all rows."), (acts::curate::has_timeline_row, acts::curate::mark)),
    look("entry.correct", &["c"], Timeline, "correct", ("correct a note", "Give a note another wording; the first one stays on record, with who corrected it."), (acts::curate::can_correct, acts::curate::correct)),
    look("entry.retime", &["M"], Timeline, "time", ("when it happened", "Say when an entry happened, with a reason; when it was recorded stays."), (acts::curate::entry_chosen, acts::curate::retime)),
    look("entry.pin", &["*"], Timeline, "pin", ("pin or unpin", "Let an entry stand out in the timeline, or no more."), (acts::curate::entry_chosen, acts::curate::pin)),
    look("entry.hide", &["-"], Timeline, "hide", ("hide or show", "Leave an entry out of the timeline for people, with a reason; or show it again."), (acts::curate::entry_chosen, acts::curate::hide)),
    look("entry.join", &["J"], Timeline, "join", ("join under a title", "Put the picked rows under one title; an empty title takes them apart."), (acts::curate::entry_chosen, acts::curate::join)),
    look("entry.evidence", &["+"], Timeline, "", ("attach a file", "Keep a file as evidence for an entry, with its digest on record."), (acts::curate::entry_chosen, acts::curate::attach)),
    look("output.evidence", &["+"], Output, "keep", ("keep lines as evidence", "Keep the lines in view, or others, of a run's output as evidence."), (acts::curate::has_output, acts::curate::attach_output)),
    look("refresh", &["u"], Global, "", ("look again now", "Run the checks of the selected service, or look at the selected backups, at once."), (why::may_act, acts::view::refresh)),
    look("refresh.all", &[], Global, "", ("look at everything now", "Run all checks and look at all backups at once."), (why::may_act, acts::view::refresh_all)),
    act("service.pause", &["P"], Services, "", ("pause", "Stop checking the selected service for a while, with a reason."), (why::can_pause, acts::incident::pause)),
    look("service.resume", &[], Services, "", ("resume", "Check the selected service again."), (why::can_resume, acts::incident::resume)),
    look("replay.open", &["t"], Global, "replay", ("replay", "See the whole screen as it was at any moment of the incident; nothing can be started from there."), (past::can_open, past::open)),
    look("freeze", &["f"], Global, "", ("freeze", "Hold the picture still to read it; a new failure thaws it."), (why::never, acts::view::freeze)),
    look("copy.row", &["y"], Global, "", ("copy", "Copy the selected row to the clipboard of your terminal (OSC 52)."), (why::has_row, acts::view::copy)),
    // The past.
    look("replay.previous", &["left", ","], Replay, "", ("replay: entry back", "The picture before the newest entry shown."), (past::in_the_past, |app| past::go(app, Move::Entries(-1)))),
    look("replay.next", &["right", "."], Replay, "entry", ("replay: entry on", "The picture with the next entry."), (past::in_the_past, |app| past::go(app, Move::Entries(1)))),
    look("replay.key-previous", &["["], Replay, "", ("replay: key event back", "To the key event before."), (past::in_the_past, |app| past::go(app, Move::Key(false)))),
    look("replay.key-next", &["]"], Replay, "event", ("replay: next key event", "To the next key event: what the timeline for people tells."), (past::in_the_past, |app| past::go(app, Move::Key(true)))),
    look("replay.play", &["space"], Replay, "play", ("replay: play or pause", "Let the time go by, or hold it."), (past::in_the_past, |app| past::go(app, Move::Play))),
    look("replay.faster", &["+", "="], Replay, "faster", ("replay: faster", "x1, x10, x60, x600."), (past::in_the_past, |app| past::go(app, Move::Faster))),
    look("replay.slower", &["-"], Replay, "", ("replay: slower", "Back towards x1."), (past::in_the_past, |app| past::go(app, Move::Slower))),
    look("replay.go", &["g"], Replay, "go to", ("replay: go to", "A time, an entry's number, T+12:43, +5m or -30s."), (past::in_the_past, past::prompt)),
    look("replay.minute-back", &["pgup"], Replay, "", ("replay: a minute back", "A minute back."), (past::in_the_past, |app| past::go(app, Move::Seconds(-60)))),
    look("replay.minute-on", &["pgdn"], Replay, "minute", ("replay: a minute on", "A minute on."), (past::in_the_past, |app| past::go(app, Move::Seconds(60)))),
    look("replay.ten-back", &["{"], Replay, "", ("replay: ten minutes back", "Ten minutes back."), (past::in_the_past, |app| past::go(app, Move::Seconds(-600)))),
    look("replay.ten-on", &["}"], Replay, "10 min", ("replay: ten minutes on", "Ten minutes on."), (past::in_the_past, |app| past::go(app, Move::Seconds(600)))),
    look("replay.first", &["home"], Replay, "", ("replay: the beginning", "The first moment: an hour before the declaration."), (past::in_the_past, |app| past::go(app, Move::First))),
    look("replay.last", &["end"], Replay, "", ("replay: the end", "The last moment of the incident, or of the record."), (past::in_the_past, |app| past::go(app, Move::Last))),
    look("replay.corrected", &["c"], Replay, "corrected", ("replay: as corrected since", "Rows as they were corrected since, or again as they read then."), (past::in_the_past, |app| past::go(app, Move::Corrected))),
    look("replay.now", &["t"], Replay, "", ("replay: leave", "Back to now; from mayday replay, out of it."), (past::in_the_past, |app| past::go(app, Move::Leave))),
    // Moving.
    look("pane.services", &["1"], Global, "", ("services", "Go to the services."), (why::never, |app| acts::view::pane(app, 0))),
    look("pane.backups", &["2"], Global, "", ("backups", "Go to the backups."), (why::never, |app| acts::view::pane(app, 1))),
    look("pane.timeline", &["3"], Global, "", ("timeline", "Go to the timeline."), (why::never, |app| acts::view::pane(app, 2))),
    look("pane.runs", &["4"], Global, "", ("runs", "Go to the runs."), (why::never, |app| acts::view::pane(app, 3))),
    look("pane.incident", &["5"], Global, "", ("incident", "Go to the incident."), (why::never, |app| acts::view::pane(app, 4))),
    look("pane.next", &["tab"], Global, "", ("next pane", "Go round the panes."), (why::never, |app| acts::view::pane_by(app, 1))),
    look("pane.previous", &["shift-tab"], Global, "", ("previous pane", "Go round the panes the other way."), (why::never, |app| acts::view::pane_by(app, 4))),
    look("move.down", &["j", "down"], Global, "", ("down", "One row down."), (why::never, |app| acts::view::step(app, 1))),
    look("move.up", &["k", "up"], Global, "", ("up", "One row up."), (why::never, |app| acts::view::step(app, -1))),
    look("move.half-down", &["ctrl-d"], Global, "", ("half a page down", "Half a page down."), (why::never, |app| acts::view::page(app, 1, 2))),
    look("move.half-up", &["ctrl-u"], Global, "", ("half a page up", "Half a page up."), (why::never, |app| acts::view::page(app, -1, 2))),
    look("move.page-down", &["pgdn"], Global, "", ("page down", "A page down."), (why::never, |app| acts::view::page(app, 1, 1))),
    look("move.page-up", &["pgup"], Global, "", ("page up", "A page up."), (why::never, |app| acts::view::page(app, -1, 1))),
    look("move.top", &["g g", "home"], Global, "", ("top", "To the first row."), (why::never, |app| acts::view::step(app, isize::MIN))),
    look("move.bottom", &["G", "end"], Global, "", ("bottom", "To the last row."), (why::never, |app| acts::view::step(app, isize::MAX))),
    // The screen itself.
    look("palette.open", &[":"], Global, "commands", ("commands", "Find any command by its name."), (why::never, acts::view::palette)),
    look("help.open", &["?", "f1"], Global, "help", ("help", "What can be done here; searchable, Enter does it."), (why::never, acts::view::help)),
    look("theme.next", &["T"], Global, "", ("next theme", "Change to the next theme."), (why::never, acts::view::next_theme)),
    look("theme", &[], Global, "", ("choose a theme", "See each theme as you move over it."), (why::never, acts::view::theme)),
    look("zone.toggle", &["z"], Global, "", ("UTC or local time", "Show times in UTC, or in your time zone."), (why::never, acts::view::zone)),
    look("engine.start", &["E"], Global, "", ("start the engine", "Start an engine when none runs."), (why::link_is_lost, acts::view::start_engine)),
    look("screen.repaint", &["ctrl-l"], Global, "", ("repaint", "Paint everything anew, after noise on the terminal."), (why::never, acts::view::repaint)),
    look("screen.suspend", &["ctrl-z"], Global, "", ("suspend", "Back to the shell; fg returns."), (why::never, acts::view::suspend)),
    look("back", &["esc"], Global, "", ("back", "One step back: chord, notice, filter, view. Never leaves."), (why::never, acts::view::back)),
    look("leave", &["q"], Global, "", ("leave", "Close this view, else leave the cockpit; the engine stays."), (why::never, acts::view::leave)),
];

/// The command of an id.
pub fn find(id: &str) -> Option<&'static Command> {
    ALL.iter().find(|c| c.id == id)
}

/// The id that looks most like a mistyped one.
pub fn nearest(id: &str) -> Option<&'static str> {
    let near = |c: &&Command| {
        let (a, b) = (c.id.as_bytes(), id.as_bytes());
        // Letters in common at both ends are enough for a hint.
        let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
        head + tail
    };
    ALL.iter().max_by_key(near).filter(|c| near(c) * 2 >= id.len().max(4)).map(|c| c.id)
}

/// The README's table of keys.
pub fn readme_table() -> String {
    let mut out = String::from("| keys | command | what it does |\n| --- | --- | --- |\n");
    for command in ALL {
        let keys: Vec<String> = command.keys.iter().map(|k| format!("`{}`", k.replace('|', "\\|"))).collect();
        let keys = if keys.is_empty() { "`:`".to_owned() } else { keys.join(" ") };
        let place = match command.context {
            Global => String::new(),
            other => format!(" ({})", other.name()),
        };
        let risk = match command.risk {
            Risk::Observe => String::new(),
            risk => format!(" *{}*", risk.word()),
        };
        out.push_str(&format!("| {keys}{place} | `{}` | {}{risk} |\n", command.id, command.doc));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_keys_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        let mut keys = std::collections::BTreeSet::new();
        for command in ALL {
            assert!(seen.insert(command.id), "{}", command.id);
            assert!(command.doc.ends_with('.'), "{}", command.id);
            for key in command.keys {
                assert!(keys.insert((command.context, *key)), "{key} twice");
            }
        }
    }

    #[test]
    fn nothing_destructive_has_a_key_of_everywhere_or_starts_with_esc() {
        for command in ALL.iter().filter(|c| c.risk == Risk::Destructive) {
            assert_ne!(command.context, Global, "{}", command.id);
            assert!(
                command.keys.iter().all(|k| !k.contains("esc") && !k.contains("delete") && !k.contains("backspace"))
            );
        }
    }
}
