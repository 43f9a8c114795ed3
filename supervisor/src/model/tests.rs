//! Random trees under random adds, deletes and sets agree with a naive map of paths, and so do their pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipc_proto::{
    ParamType,
    worker::{DeviceId, Page, Read},
};
use proptest::{prelude::*, sample::Index};

use super::{
    objects,
    read::{Capture, Sources},
    schema::{ActiveNotify, Backing, Facts, Schema, Table},
    tree::Tree,
};
use crate::{config::layers::Layers, settings::DeviceSettings, store::Write};

const TOP: &str = "Device.X.";
/// Tables, each with the path of one of its rows.
const TABLES: [&str; 4] = ["A.{i}.", "A.{i}.In.B.{i}.", "A.{i}.In.B.{i}.C.{i}.", "D.{i}."];
/// Parameters: every table has one, and what lies between them too.
const PARAMETERS: [&str; 7] =
    ["P", "A.{i}.P", "A.{i}.Q", "A.{i}.In.P", "A.{i}.In.B.{i}.P", "A.{i}.In.B.{i}.C.{i}.P", "D.{i}.P"];
const DEFAULT: &str = "as made";

/// A table as drawn.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    writable: bool,
    rows: u32,
    spare: u32,
}

#[derive(Clone, Debug)]
enum Deed {
    Add(Index),
    Delete(Index),
    Set(Index, String),
}

/// The naive one: every row by its path, every value that was set by its path.
#[derive(Debug, Default)]
struct Naive {
    rows: BTreeSet<(String, u32)>,
    next: BTreeMap<String, u32>,
    values: BTreeMap<String, String>,
}

impl Naive {
    fn new(drawn: &[Drawn; 4]) -> Self {
        let mut naive = Self::default();
        for (template, drawn) in TABLES.iter().zip(drawn) {
            let table = template.strip_suffix("{i}.").unwrap();
            for path in naive.expand(table) {
                naive.next.insert(path.clone(), drawn.rows + 1);
                naive.rows.extend((1..=drawn.rows).map(|number| (path.clone(), number)));
            }
        }
        naive
    }

    /// All paths that a template stands for now.
    fn expand(&self, template: &str) -> Vec<String> {
        let mut paths = vec![TOP.to_owned()];
        let mut parts = template.split("{i}.").peekable();
        while let Some(part) = parts.next() {
            paths.iter_mut().for_each(|path| path.push_str(part));
            if parts.peek().is_some() {
                let numbered = |table: &String| {
                    let below = self.rows.iter().filter(|(of, _)| of == table);
                    below.map(|(table, number)| format!("{table}{number}.")).collect::<Vec<_>>()
                };
                paths = paths.iter().flat_map(numbered).collect();
            }
        }
        paths
    }

    /// Every path, and whether it is writable.
    fn names(&self, drawn: &[Drawn; 4]) -> BTreeMap<String, bool> {
        let mut names = BTreeMap::from([(TOP.to_owned(), false)]);
        names.extend(self.expand("A.{i}.In.").into_iter().map(|path| (path, false)));
        for (template, drawn) in TABLES.iter().zip(drawn) {
            let table = template.strip_suffix("{i}.").unwrap();
            for template in [table, template] {
                names.extend(self.expand(template).into_iter().map(|path| (path, drawn.writable)));
            }
        }
        names.extend(self.parameters().into_iter().map(|path| (path, true)));
        names
    }

    fn parameters(&self) -> Vec<String> {
        PARAMETERS.iter().flat_map(|template| self.expand(template)).collect()
    }

    fn value(&self, path: &str) -> &str {
        self.values.get(path).map_or(DEFAULT, String::as_str)
    }

    fn delete(&mut self, row: &str) {
        self.rows.retain(|(table, number)| !format!("{table}{number}.").starts_with(row));
        self.next.retain(|table, _| !table.starts_with(row));
        self.values.retain(|path, _| !path.starts_with(row));
    }

    /// A row with the rows below it that are there from the start.
    fn add(&mut self, table: &str, number: u32, drawn: &[Drawn; 4]) {
        self.rows.insert((table.to_owned(), number));
        *self.next.get_mut(table).unwrap() = number + 1;
        let row = format!("{table}{number}.");
        for (template, drawn) in TABLES.iter().zip(drawn) {
            let below = self.expand(template.strip_suffix("{i}.").unwrap());
            for path in below.into_iter().filter(|path| path.starts_with(&row)) {
                self.next.insert(path.clone(), drawn.rows + 1);
                self.rows.extend((1..=drawn.rows).map(|number| (path.clone(), number)));
            }
        }
    }

    fn count(&self, table: &str) -> u32 {
        self.rows.iter().filter(|(of, _)| of == table).count() as u32
    }
}

fn tree(drawn: &[Drawn; 4]) -> Tree {
    let mut schema = Schema::default();
    for (template, Drawn { writable, rows, spare }) in TABLES.iter().zip(drawn) {
        let table = Table { writable: *writable, rows: *rows, max_rows: rows + spare, index: 0 };
        schema.add_object(&format!("{TOP}{template}"), Some(table)).unwrap();
    }
    for template in PARAMETERS {
        let backing = Backing::Stored { slot: 0, default: DEFAULT.into(), limits: Box::default() };
        let facts =
            Facts { param_type: ParamType::String, writable: true, backing, notify: ActiveNotify::Normal };
        schema.add_parameter(&format!("{TOP}{template}"), facts).unwrap();
    }
    Tree::new(Arc::new(schema))
}

/// Which table (by its place in `TABLES`) a path of one is.
fn kind_of(table: &str) -> usize {
    let plain: String = table.strip_prefix(TOP).unwrap().chars().filter(|c| !c.is_ascii_digit()).collect();
    ["A.", "A..In.B.", "A..In.B..C.", "D."].iter().position(|of| *of == plain).unwrap()
}

fn follow(tree: &mut Tree, write: &Write) {
    match write {
        Write::AddRow(table, number) => tree.add_at(table, *number),
        Write::RemoveRow { table, number, .. } => tree.remove_at(table, *number),
        Write::Value(path, text) => tree.store_at(path, text),
        other => panic!("{other:?}"),
    }
}

/// One deed on both; what the one refuses, the other does too.
fn do_both(tree: &mut Tree, naive: &mut Naive, drawn: &[Drawn; 4], deed: &Deed) {
    match deed {
        Deed::Add(which) => {
            let tables: Vec<String> = naive.next.keys().cloned().collect();
            let table = which.get(&tables);
            let of = drawn[kind_of(table)];
            let (next, room) = (naive.next[table], naive.count(table) < of.rows + of.spare);
            match objects::add(tree, table) {
                Ok((write, number)) => {
                    assert!(of.writable && room && number == next, "{table}{number}. comes, not {next}");
                    follow(tree, &write);
                    naive.add(table, number, drawn);
                }
                Err(fault) => assert!(!of.writable || !room, "{table} takes no row: {fault:?}"),
            }
        }
        Deed::Delete(which) => {
            let rows: Vec<_> = naive.rows.iter().cloned().collect();
            if rows.is_empty() {
                return;
            }
            let (table, number) = which.get(&rows);
            let row = format!("{table}{number}.");
            match objects::delete(tree, &row) {
                Ok(write) => {
                    assert!(drawn[kind_of(table)].writable, "{row} goes");
                    follow(tree, &write);
                    naive.delete(&row);
                }
                Err(_) => assert!(!drawn[kind_of(table)].writable, "{row} does not go"),
            }
        }
        Deed::Set(which, text) => {
            let path = which.get(&naive.parameters()).clone();
            follow(tree, &Write::Value(path.clone(), text.clone()));
            naive.values.insert(path, text.clone());
        }
    }
}

/// All pages of a read, fetched in the order of `order` and then in theirs, as name, value, writable.
fn pages(tree: &Tree, read: &Read, order: &[Index]) -> Vec<(String, String, bool)> {
    let (layers, device, settings) = (Layers::default(), DeviceId::default(), DeviceSettings::default());
    let attributes = Default::default();
    let sources = Sources {
        tree,
        layers: &layers,
        device: &device,
        settings: &settings,
        parameter_key: "",
        attributes: &attributes,
    };
    let entries = |page: Page| -> Vec<(String, String, bool)> {
        match page {
            Page::Values(page) => page.iter().map(|(n, v, _)| (n.to_owned(), v.to_owned(), true)).collect(),
            Page::Names(page) => page.iter().map(|(n, v, w)| (n.to_owned(), v.to_owned(), w)).collect(),
            Page::Attributes(_) => panic!("attributes were not asked for"),
        }
    };
    let mut capture = Capture::prepare(sources, read).unwrap();
    let count = capture.count();
    let random: Vec<_> = order
        .iter()
        .map(|at| at.index(6) as u32)
        .map(|page| (page, entries(capture.page(sources, page))))
        .collect();
    let mut all = Vec::new();
    for number in 0.. {
        let page = entries(capture.page(sources, number));
        for (_, asked_before) in random.iter().filter(|(of, _)| *of == number) {
            assert_eq!(*asked_before, page, "page {number} is another one now");
        }
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    assert_eq!(all.len(), count as usize, "the pages are not what was announced");
    all
}

fn drawn() -> impl Strategy<Value = [Drawn; 4]> {
    let table = |rows: std::ops::Range<u32>| {
        (any::<bool>(), rows, 0..4u32).prop_map(|(writable, rows, spare)| Drawn { writable, rows, spare })
    };
    // The last is large enough for several pages now and then.
    let large = prop_oneof![3 => 0..3u32, 1 => 900..2600u32];
    (table(0..3), table(0..3), table(0..3), (table(0..3), large))
        .prop_map(|(a, b, c, (d, rows))| [a, b, c, Drawn { rows, ..d }])
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => any::<Index>().prop_map(Deed::Add),
        2 => any::<Index>().prop_map(Deed::Delete),
        2 => (any::<Index>(), ".{0,12}").prop_map(|(which, text)| Deed::Set(which, text)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_tree_and_its_pages_are_what_a_map_of_paths_says(
        drawn in drawn(),
        deeds in prop::collection::vec(deed(), 0..25),
        order in prop::collection::vec(any::<Index>(), 0..8),
    ) {
        let (mut tree, mut naive) = (tree(&drawn), Naive::new(&drawn));
        deeds.iter().for_each(|deed| do_both(&mut tree, &mut naive, &drawn, deed));

        let read = Read::Names { path: TOP.to_owned(), next_level: false };
        let listed = pages(&tree, &read, &order);
        let names: BTreeMap<_, _> = listed.iter().map(|(name, _, writable)| (name.clone(), *writable)).collect();
        prop_assert_eq!(listed.len(), names.len(), "a name comes twice");
        prop_assert!(names == naive.names(&drawn), "{:?} is not {:?}", names, naive.names(&drawn));

        let valued = pages(&tree, &Read::Values(vec![TOP.to_owned()]), &order);
        let parameters = listed.iter().map(|(name, ..)| name).filter(|name| !name.ends_with('.'));
        prop_assert!(valued.iter().map(|(name, ..)| name).eq(parameters), "another order than of the names");
        for (name, value, _) in &valued {
            prop_assert_eq!(value.as_str(), naive.value(name), "{}", name);
        }
    }
}
