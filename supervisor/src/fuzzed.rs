//! What the fuzz targets feed: texts that otherwise come in by files.

use std::{path::Path, sync::Arc};

use crate::{
    model::{files, schema::Schema, tree::Tree},
    settings::Settings,
};

/// A settings file: taken, or refused with a reason.
pub fn settings_file(text: &str) {
    if let Err(error) = Settings::parse(Path::new("f"), text) {
        assert!(!error.to_string().is_empty());
    }
}

/// A model file: refused with a reason, or a tree can be made of it.
pub fn model_file(text: &str) {
    let mut schema = Schema::default();
    match files::add(text, &mut schema) {
        Err(reason) => assert!(!reason.is_empty()),
        Ok(()) => drop(Tree::new(Arc::new(schema))),
    }
}
