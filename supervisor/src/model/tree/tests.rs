//! Rows that come and go, names that are found, values that stay with their row.

use super::*;
use crate::model::schema::{ActiveNotify, Facts};
use ipc_proto::ParamType;

fn tree() -> Tree {
    let mut schema = Schema::default();
    let table = |rows| Some(Table { writable: true, rows, max_rows: 4, index: 0 });
    let stored = || Facts {
        param_type: ParamType::String,
        writable: true,
        backing: Backing::Stored { slot: 0, default: "x".into(), limits: Box::default() },
        notify: ActiveNotify::Normal,
    };
    schema.add_object("Device.T.{i}.", table(2)).unwrap();
    schema.add_object("Device.T.{i}.In.U.{i}.", table(1)).unwrap();
    schema.add_parameter("Device.T.{i}.A", stored()).unwrap();
    schema.add_parameter("Device.T.{i}.In.B", stored()).unwrap();
    schema.add_parameter("Device.T.{i}.In.U.{i}.C", stored()).unwrap();
    Tree::new(Arc::new(schema))
}

fn below(tree: &Tree, name: &str) -> Vec<String> {
    let mut names = Vec::new();
    for node in tree.find(name, true).unwrap() {
        tree.walk(node, &mut |node| names.push(tree.path(node)));
    }
    names
}

fn table(tree: &Tree, name: &str) -> (RowId, ObjectId) {
    match tree.find(name, false).unwrap().as_slice() {
        [Node::Object(row, object)] => (*row, *object),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_that_are_there_from_the_start_have_their_own_tables() {
    let names = below(&tree(), "Device.T.");
    let of_a_row = |n| {
        ["", "A", "In.", "In.B", "In.U.", "In.U.1.", "In.U.1.C"].map(|rest| format!("Device.T.{n}.{rest}"))
    };
    let expected: Vec<_> =
        ["Device.T.".to_owned()].into_iter().chain(of_a_row(1)).chain(of_a_row(2)).collect();
    assert_eq!(names, expected);
    assert_eq!(below(&tree(), "Device.T.2."), of_a_row(2));
}

#[test]
fn every_name_that_is_written_is_found_again_as_the_same_node() {
    let tree = tree();
    tree.walk(Node::Object(TOP, TREE), &mut |node| {
        assert_eq!(tree.find(&tree.path(node), false), Some(vec![node]));
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    let tree = tree();
    for name in [
        "Device",
        "Device.T",
        "Device.T.1",
        "Device.T.3.",
        "Device.T.01.",
        "Device.T.{i}.",
        "Device.T.A",
        "Device.T.1.A.",
        "Device.T.*.",
        ".",
        "..",
        "Device..",
        "device.",
        "Device.T.x.",
        "Device.T.1.In",
        " Device.",
        "Device.T.-1.A",
    ] {
        assert_eq!(tree.find(name, false), None, "{name}");
    }
    assert_eq!(tree.find("Device.*.", true), None, "a wildcard stands for a number only");
}

#[test]
fn a_wildcard_is_every_row_and_may_be_none() {
    let mut tree = tree();
    let names = |tree: &Tree, name: &str| below(tree, name);
    assert_eq!(names(&tree, "Device.T.*.A"), ["Device.T.1.A", "Device.T.2.A"]);
    assert_eq!(names(&tree, "Device.T.*.In.U.*.C").len(), 2);
    assert_eq!(names(&tree, "Device.T.2.In.U.*.").len(), 2);
    for number in ["1", "2"] {
        let [Node::Row(row)] = tree.find(&format!("Device.T.{number}."), false).unwrap()[..] else {
            panic!()
        };
        tree.remove(row);
    }
    assert_eq!(names(&tree, "Device.T.*.A"), [""; 0]);
    assert_eq!(names(&tree, "Device.T.*.In.U.1.C"), [""; 0]);
    assert_eq!(tree.find("Device.T.*.Nonsense", true), None);
}

#[test]
fn numbers_are_not_given_twice_and_places_are() {
    let mut tree = tree();
    let (top, object) = table(&tree, "Device.T.");
    assert_eq!(tree.next_number(top, object), Some(3));
    tree.add(top, object, 3);
    let places = tree.rows.len();
    let [Node::Row(row)] = tree.find("Device.T.3.", false).unwrap()[..] else { panic!() };
    tree.remove(row);
    assert_eq!((tree.next_number(top, object), tree.count(top, object)), (Some(4), 2));
    tree.add(top, object, 4);
    assert_eq!(tree.rows.len(), places);
    tree.add(top, object, 5);
    assert_eq!(tree.next_number(top, object), None, "4 rows are the most");
}

#[test]
fn a_new_row_has_defaults_whatever_was_in_its_place() {
    let mut tree = tree();
    let (row, id, _) = tree.parameter("Device.T.2.In.B").unwrap();
    tree.store(row, id, Some("mine"));
    let value = |tree: &Tree, name: &str| {
        let (row, _, parameter) = tree.parameter(name).unwrap();
        tree.stored(row, parameter).map(str::to_owned)
    };
    assert_eq!(value(&tree, "Device.T.2.In.B").as_deref(), Some("mine"));
    assert_eq!(value(&tree, "Device.T.1.In.B").as_deref(), Some("x"));
    tree.remove(row);
    let (top, object) = table(&tree, "Device.T.");
    tree.add(top, object, 7);
    assert_eq!(value(&tree, "Device.T.7.In.B").as_deref(), Some("x"));
    tree.store(row, id, None);
    assert_eq!(value(&tree, "Device.T.7.In.B").as_deref(), Some("x"));
}
