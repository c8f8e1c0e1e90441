//! Messages to the outside.

use crate::viewer::app::App;
use crate::viewer::overlays::{Overlay, Picker};

/// Chooses a template; the draft comes from the engine.
pub fn compose(app: &mut App) {
    let picker = Picker::templates(app);
    app.open_overlay(Overlay::Picker(picker));
}
