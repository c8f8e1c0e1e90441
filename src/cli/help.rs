//! `mayday help TOPIC`: what is too long for `--help`.

use super::exit::Failure;
use super::say;

const TOPICS: &[(&str, &str, &str)] = &[
    (
        "keys",
        "how the keyboard works",
        "In the cockpit ? shows the keys of the place you are in, with what each does, and : finds any command by its\n\
         name. Esc goes back one step and never quits; q leaves the viewer while the engine goes on; Ctrl-C twice leaves\n\
         too. A key that disrupts opens a dialog and waits for y; a destructive one wants the target's name typed. Enter\n\
         alone never starts anything destructive.\n\n\
         Own bindings: --keymap FILE, merged over the built-in ones; \"none\" unbinds a key. See config/keymap.toml.",
    ),
    (
        "config",
        "the configuration file",
        "Looked for in this order: --config, MAYDAY_CONFIG, ./mayday.toml, the XDG configuration folder (mayday/*.toml),\n\
         /etc/mayday/*.toml. mayday config check reports every fault with its line; mayday config schema prints a JSON\n\
         Schema for editors; mayday init writes a first file from what runs here. The engine reads it again when it is\n\
         saved; a broken save changes nothing and is told on the screen.\n\n\
         Secrets are references: { env = \"NAME\" }, { file = \"PATH\" }, { command = [\"program\", \"argument\"] }.",
    ),
    (
        "journal",
        "the record and how to prove it",
        "Everything stands in journal.jsonl in the state directory: one line of JSON per entry, each with the hash of the\n\
         one before. Nothing is started before its entry is on disk. mayday journal verify walks the whole chain;\n\
         with --anchor HEX it proves that the head printed in a message is still part of it, and it lists the heads that went\n\
         out, to compare with your mail and chat. mayday help redact: when a secret was written down. incidents/<id>/timeline.md\n\
         is the readable copy of an incident, written as it happens.\n\n\
         Disk full: entries go into space that was set aside. When that is gone the screen says so in red, entries are kept\n\
         in memory, and an action runs only with the typed word unlogged.",
    ),
    (
        "timeline",
        "reading and correcting the timeline, evidence",
        "mayday timeline prints the story: as it was corrected last, in the order of events, without details and what was\n\
         hidden; --raw prints the record as it was written, with each correction. A * marks what is pinned, ## a title,\n\
         [61] is the number that mayday amend takes. Behind a row stands when it was recorded, where it happened at another\n\
         time, and who corrected it. Narrow it with --incident, --kind run, --actor bob, --service api, --text WORDS,\n\
         --pinned; each is looked for in the whole record, with or without an engine. --json prints rows: text is how it\n\
         reads now, original how it was recorded, amended all that was said of it; with --raw text is as recorded.\n\n\
         In the cockpit i changes between the story, everything and this incident; / filters by words and by\n\
         actor:bob kind:run service:api pinned hidden, several of them together.\n\n\
         mayday amend correct|retime|pin|unpin|hide|show|join|apart writes a correction, which is an entry too; only notes\n\
         get another wording. Whatever is said is never taken away from the record: see mayday journal for what is.\n\n\
         mayday evidence add FILE keeps a file in the incident's folder (64 MiB at the most) with its digest on record;\n\
         mayday evidence output RUN --lines 120-160 keeps a part of a run's output; list and show look at what is kept.",
    ),
    (
        "replay",
        "the past as it was",
        "mayday replay INC shows the cockpit as it was at any moment of an incident, from an hour before its declaration to\n\
         its last entry: what was known then, and nothing that was learned later. t does the same from the cockpit, for the\n\
         incident that is looked at. It reads the record only, needs no engine and works on a copy (--state-dir COPY);\n\
         nothing can be started from it. Latencies and checks come from the samples sealed into the incident's folder;\n\
         where none are, it says not sealed. Of an incident that goes on it ends with what was on record when it was\n\
         opened. A long record is read in the background: what is read can be gone to at once.\n\n\
         left right: entry by entry    [ ]: key events    pgup pgdn: minutes    { }: ten minutes    home end: the ends\n\
         space: play or pause    + -: x1 x10 x60 x600    g: go to 02:14, T+12:43, an entry, +5m    c: as corrected since\n\n\
         For scripts: --at TIME or --entry N, with --json (as mayday status prints it, with runs and timeline) or --plain.",
    ),
    (
        "import",
        "taking other records into the timeline",
        "mayday import FILE (or -) takes lines of another record into an incident, also one that is closed: free lines with a\n\
         time in front (15:38, 15:38:12, ISO with or without an offset, a day as a heading, yesterday 15:38), text copied\n\
         from Slack, Teams or WhatsApp, a Slack export, Alertmanager's webhook, journalctl -o json, asciicast v2 and v3, and\n\
         script with --timing FILE. A line without a time goes on with the one before. Of recordings only what was typed is\n\
         taken, and of that nothing which did not appear on the screen.\n\n\
         It shows how each line was read, in UTC, before anything is written: --dry-run shows only that. What is doubtful\n\
         (two days or two halves of a day are possible, the future, long before the incident, out of order, a zone by name)\n\
         is asked on a terminal; without one nothing is imported (exit 3) unless --skip-doubtful leaves those lines out, each\n\
         by name. --date 2026-11-20 and --zone +02:00 say what the lines do not. Importing twice adds nothing.",
    ),
    (
        "redact",
        "destroying a secret that was written down",
        "mayday journal redact --text - --reason WHY takes the secret from standard input, or asks for it without showing it,\n\
         and destroys it wherever it stands in the state directory: entries of the journal, timelines, samples, run output,\n\
         evidence, exports, logs; as it is, escaped, broken over lines, in base64. What stands around it stays, and reads\n\
         [redacted]. mayday journal redact 61 --reason WHY takes everything that somebody wrote out of entry 61. --dry-run\n\
         says what would go; --confirm WORD types what would be asked for.\n\n\
         Who, when and why are entries of their own, and mayday journal verify tells them: the chain holds, because each\n\
         entry keeps its digest. Cut short, it is finished by the next engine. The headers of entries (who, when, which\n\
         incident) cannot be blanked. Beyond reach: what was sent, copies and exports elsewhere (those that mayday wrote are\n\
         named), compressed files, backups. Renew the secret: it was read. What [authority] calls redact needs full control\n\
         where nothing else is configured.",
    ),
    (
        "restore",
        "restoring in two steps",
        "mayday restore BACKUP puts the copy beside the live data, verifies it and stops at ready to cut over: the live data\n\
         is untouched. mayday restore BACKUP --cut-over --confirm NAME puts it in the live place and keeps what was live;\n\
         --undo puts that back, --drop removes what is left beside. --test restores, verifies, reports and drops.\n\
         --plan prints the exact commands, what will be lost and what was checked, and does nothing.\n\n\
         Base backups with an archived log (postgres_pitr) reach any moment: --to 2026-11-20T02:14:07Z, --to 02:14, also\n\
         lsn:0/16B3748, xid:1234 or name:POINT, with @2 behind it for another timeline. --plan shows the window; a moment\n\
         outside of it is refused with the nearest one. The side cluster is paused there: look into it, take a later\n\
         moment with another --to, newest among them (it goes on where it stands; without --to one that is ready stays\n\
         and another is made beside it), then --cut-over, or --drop. One whose verify queries are not true stays paused to\n\
         be looked into and is never ready. Such a set is as old as the last log that continues its newest base backup;\n\
         a gap is named, and log behind it counts for nothing; so is a segment that a replay found damaged, until another\n\
         copy of it is there.\n\n\
         With head_start in the configuration of a backup the first step begins by itself as soon as an incident names the\n\
         service: the newest good copy, one job, the lowest priority of CPU and disk (of what mayday starts: a database\n\
         server works for it as for anybody). It is withheld, with the reason, when the disk is not known to suffice, a tag\n\
         or a hold is on the service, or a check fails, and it gives way to whatever a person starts on the same data.\n\
         The incident shows it as it stands; C cuts over to it, D drops it. A recovery or a playbook that restores the same\n\
         copy uses what is ready, and waits for what is under way.\n\n\
         Folders, out of archives, copies, restic or borg, are unpacked beside and compared with the live one: what was\n\
         added, changed or is gone is counted, and every name is listed in the folder of the run. The cut-over exchanges\n\
         the two in one step. NAME is then the name of the live folder.\n\n\
         --only brings back a part, and may be given again. Of a dump: a table (public.orders) or a schema (shop.*), put\n\
         beside the live ones under new names. Of a folder: names below it (nginx, '*.pem', 'conf/**'; a folder means\n\
         all in it), each of which changes places with the live one at the cut-over; nothing else there is touched.\n\n\
         Redis: the copy is loaded into a scratch server; the cut-over lets the live one follow it and become a master\n\
         again, without a restart, or exchanges its files, or brings back single keys. RabbitMQ: definitions are compared\n\
         first, then imported and read back; an import removes nothing and holds no messages. NAME is then the service.",
    ),
    (
        "manifest",
        "what is written beside a copy",
        "app.dump.manifest.json beside app.dump says what is in it, as one JSON object. All keys are optional, others are\n\
         passed over:\n\
         size, sha256   of the file; a copy that differs is suspect, and no restore begins with it\n\
         tables         {\"public.orders\": 90211}, or a list of {\"name\": …, \"rows\": …}; compared after the restore\n\
         counted        \"copy\": tables and rows were read in the copy itself, so that a difference ends the restore;\n\
                        anything else: in a database that may have gone on meanwhile; a difference is named\n\
         entries, keys  names in an archive or folder; keys of all databases of a Redis copy\n\
         taken_at       when the copy was made\n\n\
         mayday backups manifest NAME [--copy ID] reads a copy to its end and writes this file, best right after it was\n\
         made: what rots later is found then, also in copies that are encrypted. mayday backups verify NAME compares.",
    ),
    (
        "recover",
        "bringing a whole system back",
        "mayday recover NAME --plan shows every step of a [[recovery]]: commands, copy, data lost, duration, failed checks.\n\
         One confirmation covers the steps as shown (--yes, or --confirm NAME where a step is destructive). Each step is a\n\
         run of its own, a wait until services are up, or something that a person does; the next begins only when the one\n\
         before is good. A step that fails, runs over its time box, or would now do something else stops the recovery and\n\
         asks: mayday recover status shows it, resume, skip --reason, stop, done, failed --reason answer it. Running out\n\
         of a time box ends no run.\n\n\
         With --wait: 0 complete, 5 complete with steps skipped, 1 stopped and asks, 6 ended by a person.",
    ),
    (
        "incident",
        "phases, updates, escalation, contacts",
        "mayday incident show tells the phase, what is due and who was called. Phases and promises are configured per\n\
         severity ([severity.P0]); T+ counts from the declaration.\n\n\
         Updates are due by the last message that a channel accepted. Two minutes before, a draft lies ready: m in the\n\
         cockpit, mayday notify update here. mayday incident snooze 10m --reason TEXT moves the deadline that is shown.\n\n\
         While nobody acknowledges, the levels in escalate are called one after another through the channels of their\n\
         contacts. That a level is due does not say that anybody heard of it: what came of its message stands beside it.\n\
         mayday contacts shows whom to call by phone and what to say, also without an engine; mayday contact\n\
         called NAME [--no-answer] logs it. Only mayday incident ack stops the escalation.\n\n\
         mayday incident merge A --into B, close --false-alarm and onset TIME need --reason.",
    ),
    (
        "authority",
        "who may do what; second persons, tags and holds",
        "[authority] and [severity.P0] authority say what a severity, a role, a user or a group may: monitoring (messages,\n\
         status), configuration (pauses), services (restart, stop, start, actions), full (restores and all that destroys).\n\
         The most that any of them gives counts. Without any of it everybody may everything. Declaring, noting,\n\
         acknowledging, naming roles, changing the severity (a lesser one with --reason), tags and holds are always allowed.\n\
         What is refused ends with exit code 3 and says what would allow it.\n\n\
         second_person = true: what was confirmed waits for another user of the engine, who looks at it with mayday approvals\n\
         ID and approves it with mayday approve ID. Both see four words that belong to exactly that plan: say them to each\n\
         other. Nobody approves what they asked for, nor does anybody behind the same uid. A request ends after 10 minutes.\n\
         Who is alone: mayday break-glass ID WHY, which is recorded, sent to the channels, and stands in the review.\n\n\
         mayday tag SERVICE WHY keeps everybody, scripts and recoveries too, from restarting, restoring or acting on it until\n\
         mayday untag SERVICE; another's tag goes with --reason, or over to you with mayday tag SERVICE WHY --take-over.\n\
         mayday hold SERVICE --reason WHY (or --all) stops restarts and restores, as during a breach; only the commander\n\
         of the incident that it was set in releases it: mayday release SERVICE --reason WHY. Stopping a held service stays\n\
         possible. mayday tags lists both.",
    ),
    (
        "playbook",
        "being led through an incident",
        "mayday playbook list shows what is configured and which fits what is down; start NAME begins one, and does nothing\n\
         by that. status shows the step it is at with what can be answered: do carries it out (a plan is shown and confirmed\n\
         as always: --yes, --confirm NAME; a message is previewed), next says that it is done, choose takes a way on, fail\n\
         and skip need --reason. A failed step stays failed: again tries it once more, next --go-on --reason goes on all the\n\
         same. evidence keeps words or a file. leave lets somebody else resume it.\n\n\
         mayday playbook shipped lists the nine to begin with and prints their files; bind one in mayday.toml with\n\
         [[playbook]] use = \"NAME\", with = { … }. When a file changes under a playbook that was started, nothing goes on\n\
         until somebody says which text holds: resume --keep, or resume --take-new --from STEP.\n\n\
         mayday checklist show NAME, tick NAME ITEM, untick NAME ITEM: what is not ticked is named at resolve.",
    ),
    (
        "afterwards",
        "follow-ups, the review, past incidents",
        "mayday followups lists what is to be done after incidents, what is due first on top; --incident, --owner, --overdue,\n\
         --all, and --check for scripts: exit code 1 when something that is listed is overdue. add, done, drop, reopen and\n\
         change ask the engine. `@bob 2026-12-01 #prevent: text` says owner, day and kind (mitigate, prevent, detect,\n\
         process). A note that begins with TODO is a proposal, called after its entry (INC-2026-004.n61): add --from 61\n\
         takes it up, drop dismisses it. import REVIEW.md reads the table or list below Action items.\n\n\
         mayday review INC shows the review's state, and with --owner, --status, --meeting changes it.\n\
         mayday incidents WORDS searches the record; mayday trends --by service, cause, weekday, severity or month counts\n\
         and gives median, p90 and n, what came back within 30 days, and how long each service was down.\n\n\
         mayday run -- COMMAND ends with the command's own exit code; 128 and the signal where one ended it, 6 after\n\
         --timeout, 127 when there is no such command.",
    ),
    (
        "review",
        "the review of an incident: export, write, check",
        "mayday export -o review.md writes it from the record, without an engine. What only people can say has a place\n\
         between <!-- mayday:write NAME --> and <!-- mayday:end NAME -->, with facts for a start. Export to the same file\n\
         again: the numbers are refreshed, your text stays; what stands elsewhere is moved to the end, never dropped, and\n\
         the file as it was is left as review.md.bak. A file that is no review of this incident is refused.\n\n\
         mayday export --check review.md compares every number with the record and follows the citations in your text:\n\
         exit 0 the same, 1 differences, 2 no review.\n\n\
         -o review.html is one page with charts and your text, to read and to print; .json has a schema (--schema); .csv\n\
         is the timeline for spreadsheets; .cast plays in asciinema, each entry a marker. The same record gives the same\n\
         bytes. A number names its entries, [61]; of a retimed entry it counts the time that was said, and cites both.",
    ),
    (
        "trouble",
        "when mayday itself is in trouble",
        "mayday doctor looks at everything mayday needs. mayday engine status tells where the engine is and whether it\n\
         records. A viewer that lost the engine keeps its last picture, marked with its age, and connects again by itself.\n\
         mayday note --offline keeps a note in a file when no engine answers. The journal can be read without any engine:\n\
         mayday journal tail --dir DIR, mayday export --state-dir DIR.",
    ),
    (
        "exit-codes",
        "what commands return",
        "0 done; 1 failed; 2 wrong usage; 3 refused (authority, lock, confirmation missing); 4 contradicted (exit 0, yet\n\
         the check fails); 5 ended unverified under --wait; 6 cancelled, lost, timed out or expired.\n\
         mayday status: 0 up, 1 degraded, 2 down, 3 unknown, 64 its own failure.",
    ),
];

/// Prints a topic, or the list of them.
pub fn run(topic: Option<&str>) -> Result<u8, Failure> {
    let Some(topic) = topic else {
        say("mayday help TOPIC:");
        for (name, what, _) in TOPICS {
            say(&format!("  {name:<11} {what}"));
        }
        say("mayday --help lists the commands; mayday COMMAND --help explains one.");
        return Ok(0);
    };
    match TOPICS.iter().find(|(name, ..)| *name == topic) {
        Some((_, _, text)) => {
            say(text);
            Ok(0)
        }
        None => {
            let known: Vec<_> = TOPICS.iter().map(|(name, ..)| *name).collect();
            Err(Failure::usage(format!("there is no topic \"{topic}\": {}", known.join(", "))))
        }
    }
}
