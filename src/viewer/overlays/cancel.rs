//! What a run that is asked to stop leaves.

use crate::domain::run::Work;

/// One sentence, true of this kind of work. `target` is the run's.
pub fn what_stays(work: &Work, target: &str) -> String {
    match work {
        Work::Restore { .. } => {
            format!("What it has made beside is taken away again; the live {target} is not touched.")
        }
        Work::CutOver { .. } | Work::CopyIn { .. } | Work::Undo { .. } => {
            "What it has begun is taken back, unless it is complete by then: nothing stays in between. Its end says which."
                .to_owned()
        }
        Work::Drop { .. } => "What it has dropped by then is gone, and does not come back.".to_owned(),
        Work::Logs { .. } => "It only looks: nothing was changed by it.".to_owned(),
        Work::Restart { .. }
        | Work::Stop { .. }
        | Work::Start { .. }
        | Work::Redeploy { .. }
        | Work::Scale { .. }
        | Work::Promote { .. } => {
            format!("What it has done to {target} by then stays done: look whether it is up afterwards.")
        }
        Work::Act { .. } => "What its command has done by then is not undone by this.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_says_what_is_true_of_it() {
        let of = || "r1".to_owned();
        let only = Vec::new;
        let restore = Work::Restore { backup: "full".into(), copy: None, test: false, only: only(), to: None };
        let said = what_stays(&restore, "shop");
        assert_eq!(said, "What it has made beside is taken away again; the live shop is not touched.");
        for work in [Work::CutOver { of: of() }, Work::CopyIn { of: of(), only: only() }, Work::Undo { of: of() }] {
            assert!(what_stays(&work, "shop").contains("taken back"), "{work:?}");
        }
        assert!(what_stays(&Work::Drop { of: of() }, "shop").contains("gone"));
        assert!(what_stays(&Work::Restart { service: "api".into() }, "api").contains("done to api by then stays"));
        assert!(what_stays(&Work::Act { action: "flush".into() }, "api").contains("not undone"));
        assert!(what_stays(&Work::Logs { service: "api".into(), lines: 1 }, "api").contains("nothing was changed"));
    }
}
