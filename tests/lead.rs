//! Leading an incident against the clock: phases, cadence, escalation, another end, another beginning.
//!
//! Rules on made-up time (`rules`, `charged`, `counted`, `reopened`, `merged`), the engine on a clock that the test moves with a web hook that accepts and refuses
//! (`engine`), and the real binary that is killed between two levels (`killed`).

mod support;

mod lead {
    pub mod charged;
    pub mod commands;
    pub mod counted;
    pub mod engine;
    pub mod killed;
    mod kit;
    pub mod merged;
    pub mod reopened;
    pub mod rules;
}
