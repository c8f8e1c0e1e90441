//! mayday: a full-screen terminal incident cockpit.
//!
//! The journal is the truth and everything shown is a fold of it. Floors, each importing only from the ones below:
//!
//! | floor | folders |
//! | --- | --- |
//! | ground, pure | [`domain`], [`text`] |
//! | low, impure | [`sys`] |
//! | first | [`config`], [`journal`], [`wire`], [`probe`], [`backup`], [`recovery`], [`notify`], [`report`] |
//! | second | [`runner`], [`viewer`], [`cli`], [`demo`], [`survey`], [`replay`] |
//! | third | [`engine`] |
//! | top | `main.rs` |
//!
//! `tests/boundaries.rs` holds these rules.

pub mod backup;
pub mod cli;
pub mod config;
pub mod demo;
pub mod dispatch;
pub mod domain;
pub mod engine;
pub mod journal;
pub mod notify;
pub mod probe;
pub mod recovery;
pub mod replay;
pub mod report;
pub mod runner;
pub mod survey;
pub mod sys;
pub mod text;
pub mod viewer;
pub mod wire;
