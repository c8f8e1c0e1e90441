//! Who may do what, as it is in force.

use std::collections::BTreeMap;

use super::out::{Out, string};
use crate::domain::authority::{Authority, Level};
use crate::domain::catalog::Severity;

pub fn authority(a: &Authority, out: &mut Out) {
    let levels = |out: &mut Out, key: &str, map: &BTreeMap<String, Level>| out.map(key, map, |l| string(l.word()));
    let says_nothing = a.roles.is_empty() && a.users.is_empty() && a.groups.is_empty() && a.needs.is_empty();
    if a.everybody.is_none() && !a.second_person && says_nothing {
        return;
    }
    out.table("[authority]");
    out.put("everybody", a.everybody.map(|l| string(l.word())));
    levels(out, "roles", &a.roles);
    levels(out, "users", &a.users);
    levels(out, "groups", &a.groups);
    levels(out, "needs", &a.needs);
    second_person(a.second_person, out);
}

pub fn of_severity(a: &Authority, severity: Severity, out: &mut Out) {
    out.put("authority", a.severities.get(&severity).map(|l| string(l.word())));
    second_person(a.second_person_severities.contains(&severity), out);
}

pub fn second_person(needed: bool, out: &mut Out) {
    out.put("second_person", needed.then(|| "true".to_owned()));
}
