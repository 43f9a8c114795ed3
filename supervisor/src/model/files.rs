//! Model files: TOML that adds objects, tables and stored parameters to the schema.
//!
//! A file with anything wrong adds nothing, and is named with the line and the reason; the others still count.

use std::{fs, io, ops::Range, path::Path};

use ipc_proto::{ParamType, path::MAX_PATH};
use regex_lite::Regex;
use serde::Deserialize;
use toml::Spanned;

use super::{
    limits::Limits,
    schema::{ActiveNotify, Backing, Facts, ObjectId, Schema, Table},
};

/// The largest model file, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Rows that a file may put there from the start, all its tables together, those in rows of others too.
const MAX_ROWS: u64 = 1_000_000;
/// Most rows of a table that does not say; more where it has more from the start.
const DEFAULT_MAX_ROWS: u32 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    #[serde(default)]
    object: Vec<Spanned<ObjectEntry>>,
    #[serde(default)]
    parameter: Vec<Spanned<ParameterEntry>>,
}

/// `[[object]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectEntry {
    path: String,
    #[serde(default)]
    access: Access,
    #[serde(default)]
    rows: u32,
    max_rows: Option<u32>,
    /// Adds the parameter `...NumberOfEntries` beside the table.
    #[serde(default)]
    number_of_entries: bool,
}

/// `[[parameter]]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterEntry {
    path: String,
    #[serde(rename = "type")]
    param_type: String,
    #[serde(default)]
    access: Access,
    #[serde(default)]
    default: Option<toml::Value>,
    #[serde(rename = "backing")]
    _backing: OnlyStored,
    max_length: Option<u32>,
    #[serde(default)]
    enumeration: Vec<String>,
    pattern: Option<String>,
    min: Option<i64>,
    max: Option<i64>,
    #[serde(default)]
    active_notify: ActiveNotify,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Access {
    #[default]
    ReadOnly,
    ReadWrite,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnlyStored {
    Stored,
}

/// Adds every `*.toml` of the directory, in the order of their names; what is wrong is answered, one line a file.
/// A directory that is not there is an empty one.
pub fn load(dir: &Path, schema: &mut Schema) -> Vec<String> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return vec![format!("the model directory {} cannot be read: {error}", dir.display())],
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut troubles = Vec::new();
    for file in files {
        // Whole or not at all.
        let mut with_it = schema.clone();
        match read(&file).and_then(|text| add(&text, &mut with_it)) {
            Ok(()) => *schema = with_it,
            Err(reason) => {
                troubles.push(format!("model file {}: {reason}; nothing of it is used", file.display()))
            }
        }
    }
    troubles
}

fn read(file: &Path) -> Result<String, String> {
    let size = fs::metadata(file).map_err(|e| e.to_string())?.len();
    if size > MAX_FILE {
        return Err(format!("{size} bytes, at most {MAX_FILE} are allowed"));
    }
    fs::read_to_string(file).map_err(|e| e.to_string())
}

/// Adds what a text describes; the error names its line.
pub fn add(text: &str, schema: &mut Schema) -> Result<(), String> {
    let at = |span: Option<Range<usize>>, reason: &str| match span {
        Some(span) => {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: {reason}", before.matches('\n').count() + 1)
        }
        None => reason.to_owned(),
    };
    let file: ModelFile = toml::from_str(text).map_err(|e| at(e.span(), e.message()))?;
    let mut rows = 0u64;
    for entry in &file.object {
        add_object(entry.get_ref(), schema, &mut rows).map_err(|reason| at(Some(entry.span()), &reason))?;
    }
    for entry in &file.parameter {
        add_parameter(entry.get_ref(), schema).map_err(|reason| at(Some(entry.span()), &reason))?;
    }
    Ok(())
}

fn add_object(entry: &ObjectEntry, schema: &mut Schema, rows: &mut u64) -> Result<(), String> {
    let ObjectEntry { path, access, rows: own, max_rows, number_of_entries } = entry;
    let Some(table) = path.strip_suffix(".{i}.") else {
        if *own > 0 || max_rows.is_some() || *number_of_entries || *access == Access::ReadWrite {
            return Err(format!("{path} has no rows: the path of a table ends with {{i}}."));
        }
        return schema.add_object(path, None).map(drop).map_err(|e| e.to_string());
    };
    let max_rows = max_rows.unwrap_or(DEFAULT_MAX_ROWS.max(*own));
    if *own > max_rows {
        return Err(format!("rows = {own} is more than max_rows = {max_rows}"));
    }
    let made = Table { writable: *access == Access::ReadWrite, rows: *own, max_rows, index: 0 };
    let id = schema.add_object(path, Some(made)).map_err(|e| e.to_string())?;
    *rows = rows.saturating_add(rows_from_start(schema, id));
    if *rows > MAX_ROWS {
        return Err(format!("more than {MAX_ROWS} rows from the start"));
    }
    if *number_of_entries {
        let facts = Facts {
            param_type: ParamType::UnsignedInt,
            writable: false,
            backing: Backing::Count(id),
            notify: ActiveNotify::Normal,
        };
        schema.add_parameter(&format!("{table}NumberOfEntries"), facts).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// How many rows a table has from the start, in all rows of the tables that it lies in.
fn rows_from_start(schema: &Schema, table: ObjectId) -> u64 {
    let object = schema.object(table);
    match object.table {
        Some(own) => u64::from(own.rows).saturating_mul(rows_from_start(schema, object.row_of)),
        None => 1,
    }
}

fn add_parameter(entry: &ParameterEntry, schema: &mut Schema) -> Result<(), String> {
    let kind = &entry.param_type;
    let param_type = ParamType::from_xsd_name(kind).ok_or_else(|| {
        let known: Vec<_> = ParamType::ALL.iter().map(|known| known.xsd_name()).collect();
        format!("type {kind:?} is none of {}", known.join(", "))
    })?;
    let pattern = entry.pattern.as_deref().map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
    let limits = Limits {
        max_length: entry.max_length,
        enumeration: entry.enumeration.clone(),
        pattern: pattern.transpose().map_err(|e| format!("pattern: {e}"))?,
        min: entry.min,
        max: entry.max,
    };
    let given = match &entry.default {
        Some(toml::Value::String(text)) => Some(text.clone()),
        Some(other @ (toml::Value::Integer(_) | toml::Value::Boolean(_))) => Some(other.to_string()),
        Some(_) => return Err("default must be a text, a whole number, true or false".to_owned()),
        None => None,
    };
    let default = match given {
        Some(text) => limits.parse(param_type, &text).map_err(|e| format!("default {e}"))?,
        None => neutral(param_type, &limits).ok_or("without a default that its limits take: give one")?,
    };
    if entry.path.len() > MAX_PATH {
        return Err(format!("a path of more than {MAX_PATH} characters"));
    }
    let backing = Backing::Stored { slot: 0, default: default.into(), limits: Box::new(limits) };
    let writable = entry.access == Access::ReadWrite;
    let facts = Facts { param_type, writable, backing, notify: entry.active_notify };
    schema.add_parameter(&entry.path, facts).map(drop).map_err(|e| e.to_string())
}

/// The default of a type that was given none: empty, 0, false, the Unknown Time, or the first of its words.
fn neutral(param_type: ParamType, limits: &Limits) -> Option<String> {
    let text = match param_type {
        ParamType::String | ParamType::Base64 | ParamType::HexBinary => "",
        ParamType::Boolean => "false",
        ParamType::DateTime => ipc_proto::value::DateTime::UNKNOWN,
        _ => "0",
    };
    let words = limits.enumeration.first().map(String::as_str);
    [words.unwrap_or(text)].into_iter().find_map(|text| limits.parse(param_type, text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tree::Tree;
    use std::sync::Arc;

    const BENCH: &str = r#"
[[object]]
path = "Device.X_EXAMPLE_Bench.{i}."
access = "readWrite"
rows = 3
max_rows = 10
number_of_entries = true

[[parameter]]
path = "Device.X_EXAMPLE_Bench.{i}.Param1"
type = "string"
max_length = 64
default = "x"
access = "readWrite"
backing = "stored"

[[parameter]]
path = "Device.X_EXAMPLE_Bench.{i}.Number"
type = "int"
min = -5
max = 5
backing = "stored"
"#;

    fn refused(text: &str) -> String {
        add(text, &mut Schema::default()).unwrap_err()
    }

    #[test]
    fn the_documented_form_makes_a_table_with_rows() {
        let mut schema = Schema::default();
        add(BENCH, &mut schema).unwrap();
        let tree = Tree::new(Arc::new(schema));
        let (row, _, parameter) = tree.parameter("Device.X_EXAMPLE_Bench.3.Param1").unwrap();
        assert_eq!(tree.stored(row, parameter), Some("x"));
        let (row, _, parameter) = tree.parameter("Device.X_EXAMPLE_Bench.1.Number").unwrap();
        assert_eq!((tree.stored(row, parameter), parameter.facts.writable), (Some("0"), false));
        assert!(tree.parameter("Device.X_EXAMPLE_BenchNumberOfEntries").is_some());
        assert!(tree.parameter("Device.X_EXAMPLE_Bench.4.Param1").is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert!(refused("\n\nnonsense").starts_with("line 3: "));
        assert!(refused("[[object]]\npath = \"Device.A.\"\nsize = 3\n").starts_with("line 3: unknown field"));
        let bad = |what: &str| refused(&BENCH.replace("max_length = 64", what));
        assert!(bad("min = \"1\"").starts_with("line 12: "), "{}", bad("min = \"1\""));
        for (instead, reason) in [
            ("max_length = 0", "default must be no longer than 0"),
            ("enumeration = [\"a\"]", "default must be one of a"),
            ("pattern = \"(\"", "pattern: "),
            ("min = 1\nactive_notify = \"sometimes\"", "unknown variant"),
        ] {
            assert!(bad(instead).contains(reason), "{instead}: {}", bad(instead));
        }
        for (from, to, reason) in [
            ("\"string\"", "\"text\"", "is none of string"),
            ("\"stored\"", "\"file\"", "unknown variant"),
            ("rows = 3", "rows = 11", "more than max_rows"),
            ("Bench.{i}.Param1", "Bench.Param1", "is a table"),
            ("Device.X_EXAMPLE_Bench.{i}.Param1", "Other.Param1", "does not begin with Device."),
            ("Device.X_EXAMPLE_Bench.{i}.Param1", "Device.DeviceInfo.UpTime", "is there already"),
            ("min = -5", "min = 1", "without a default"),
        ] {
            let text = refused(&BENCH.replacen(from, to, 1));
            assert!(text.starts_with("line ") && text.contains(reason), "{to}: {text}");
        }
    }

    #[test]
    fn rows_in_rows_count_as_often_as_they_are_there() {
        let table = |path: &str, rows: u32| format!("[[object]]\npath = \"{path}\"\nrows = {rows}\n");
        let nested = |rows: u32| {
            [
                table("Device.A.{i}.", rows),
                table("Device.A.{i}.B.{i}.", 99),
                table("Device.A.{i}.B.{i}.C.{i}.", 99),
            ]
            .concat()
        };
        assert_eq!(add(&nested(100), &mut Schema::default()), Ok(()));
        let error = refused(&nested(101));
        assert!(error.starts_with("line 7: ") && error.contains("1000000 rows"), "{error}");
    }

    #[test]
    fn a_bad_file_adds_nothing_and_the_others_still_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("1.toml"), format!("{BENCH}\n[[object]]\npath = \"nonsense\"\n")).unwrap();
        fs::write(dir.path().join("2.toml"), BENCH.replace("Bench", "Good")).unwrap();
        fs::write(dir.path().join("README"), "not a model").unwrap();
        let mut schema = Schema::default();
        let troubles = load(dir.path(), &mut schema);
        assert_eq!(troubles.len(), 1);
        assert!(
            troubles[0].contains("1.toml: line 24: ") && troubles[0].contains("nothing of it"),
            "{troubles:?}"
        );
        let tree = Tree::new(Arc::new(schema));
        assert!(tree.find("Device.X_EXAMPLE_Good.1.", false).is_some());
        assert!(tree.find("Device.X_EXAMPLE_Bench.", false).is_none());
        assert!(load(&dir.path().join("absent"), &mut Schema::default()).is_empty());
    }
}
