//! The fixed words of a review: how each number is defined, and what only people can write.

/// Printed in every export, so that no number stands without its meaning.
pub const DEFINITIONS: &[(&str, &str)] = &[
    ("onset", "when the trouble began: as journaled or stated, else the first failing probe of a named service"),
    (
        "detect",
        "when the first sign was recorded: a named service confirmed down or degraded since the onset, or the declaration, whichever came first",
    ),
    (
        "page",
        "when a channel first accepted a message of the incident, tests of channels apart; accepted is not yet read",
    ),
    ("ack", "when a person first acknowledged it"),
    ("declare", "when it was declared; T+ counts from when that was recorded"),
    ("assess", "when a person first set its severity; declaring by hand does"),
    ("mitigate", "when its status first became monitoring; a reopening does not take it back"),
    ("resolve", "when its status became resolved and stayed so"),
    ("close", "when it was closed, after the resolution or instead of one"),
    ("ttd", "detect − onset, uncertain by one probe interval where the onset comes from probes"),
    ("page_delay", "page − detect"),
    ("tta", "ack − detect"),
    (
        "response",
        "ack − declare, held against the response time: respond_within of the severity in force when it ran out, or at the acknowledgement where that came first; it counts from the declaration, so a raise before the acknowledgement brings the shorter time, and lowering does not take back what has run out; not acknowledged at all is a miss once it ran out",
    ),
    ("tta_page", "ack − page"),
    ("ttm", "mitigate − detect"),
    ("ttr", "resolve − detect"),
    (
        "severity",
        "time open in that severity, from the declaration to the resolution, without the time between a resolution and a reopening",
    ),
    (
        "downtime",
        "union of the times in which a service was down by its probes, each from the first failure of the streak that confirmed it to the first success of the streak that ended it; unknown counts as down until seen otherwise, paused does not; each end is uncertain by one probe interval; it is not the length of the incident",
    ),
    ("rto", "downtime of the service against the RTO in force when it went down"),
    (
        "rpo",
        "onset − newest write covered by what was restored (the moment its copy was taken, or to which its log was played), against the RPO of its backup set where it went live and stayed; writes between the onset and the cut-over are lost besides",
    ),
    (
        "cost",
        "cost per hour × time in which any tier-1 service was down; any named service where no service is of tier 1",
    ),
    (
        "updates",
        "an update is due one interval of the severity after the last message that a channel accepted, also over a reopening, else after the declaration; what would have been due while it was resolved is due at the reopening",
    ),
    ("first_word", "first message to those who wait that a channel accepted − declare, against first_word_within"),
    ("resolution_word", "resolution message accepted − resolve, against resolution_within"),
    (
        "phases",
        "time since the declaration at which each phase ended, by the entry cited, held against the plan of the severity in force then, detection & alert by the rule of response; recovery ends when it is mitigated and every affected service is seen up; after a reopening what was over before stays so, but that it is to be resolved and closed anew, and recovered where a service is not up",
    ),
    ("actions", "time in which at least one action of the incident ran"),
    ("approvals", "time in which at least one action waited for a second person, from the request to the answer"),
    (
        "retimed",
        "where a person said later when something happened, the moment said counts, and the number cites both entries",
    ),
];

/// A place that only people can fill: marker, heading, what to write.
pub struct Place {
    pub marker: &'static str,
    pub prompt: &'static str,
}

pub const SUMMARY: Place = Place {
    marker: "summary",
    prompt: "Two or three sentences: what users noticed, what was behind it, what ended it. Systems and decisions, no blame.",
};
pub const IMPACT: Place = Place {
    marker: "impact",
    prompt: "Who was affected and how: users, requests, orders, contracts. What was lost for good.",
};
pub const DETECTION: Place = Place {
    marker: "detection",
    prompt: "How was it noticed (probe, alert, a user, by chance)? What would have halved the time to detect?",
};
pub const HYPOTHESES: Place =
    Place { marker: "hypotheses", prompt: "What was considered, with what evidence, and what ruled it out." };
pub const FACTORS: Place = Place {
    marker: "contributing-factors",
    prompt: "What made it possible and what made it worse: several factors, never one root cause, never a person.",
};
pub const CAUSE: Place = Place {
    marker: "trigger-and-resolution",
    prompt: "The trigger, the fault behind it, what resolved it, and which makeshift fixes are still in place.",
};
pub const WENT_WELL: Place = Place { marker: "went-well", prompt: "What went well, and should be done so again." };
pub const WENT_BADLY: Place = Place {
    marker: "went-badly",
    prompt: "What went badly: what was missing, slow, or misleading. Tools and circumstances, never a person.",
};
pub const LUCKY: Place =
    Place { marker: "lucky", prompt: "Where we were lucky: what would have made it worse had it been otherwise." };
pub const QUESTIONS: Place =
    Place { marker: "questions", prompt: "What is not understood yet, what surprised us, and who will find out." };
pub const ITEMS: Place = Place {
    marker: "action-items",
    prompt: "Each one specific, bounded, with an owner and a due date (within 48 hours, 2 weeks, 3 months); type is mitigate, prevent, detect or process. What becomes a follow-up stands in the table.",
};
pub const EXTERNAL: Place = Place {
    marker: "external-message",
    prompt: "For customers: what happened, what it meant for them, what is being done. Say \"outage\" only if everything was out.",
};
