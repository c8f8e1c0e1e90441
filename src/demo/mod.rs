//! The sandbox: real services on loopback to break and to repair, in a temporary folder that is gone afterwards.
//!
//! Nothing in here is special to the cockpit: it watches, restarts and restores these services by an ordinary
//! configuration file, with the same panes and commands as production. What only the sandbox has are the actions that
//! break things. It never touches anything outside its folder and the processes it started.
//!
//! | file | is |
//! | --- | --- |
//! | [`sandbox`] | making the folder, starting what runs in it, removing it |
//! | [`service`] | starting, stopping, breaking one service by its pid file |
//! | [`web`] | the API and the web front end themselves |
//! | [`servers`] | PostgreSQL and Redis, where their programs are found |
//! | [`text`] | the configuration file |

pub mod sandbox;
pub mod servers;
pub mod service;
pub mod text;
pub mod web;

pub use sandbox::Sandbox;
