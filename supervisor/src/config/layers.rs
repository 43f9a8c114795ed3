//! Layers of the configuration: factory, startup, running, DHCP, candidate; and which value is in force.

use std::collections::BTreeMap;

use ipc_proto::{UtcTime, control::Source};

use serde::{Deserialize, Serialize};

use super::table::{self, Access, Row, name};

/// A value that someone set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// As the table's `parse` gave it.
    pub text: String,
    /// Who set it.
    pub source: Source,
    /// When.
    pub at: UtcTime,
}

/// A change that waits for `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it changes.
    pub row: &'static Row,
    /// The new value.
    pub text: String,
    /// Who set it.
    pub who: String,
    /// When.
    pub at: UtcTime,
    /// The value in force when it was set.
    pub based_on: String,
}

/// The layers. The running configuration is what is unsaved over startup over factory.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// One entry for each row of the table.
    pub factory: BTreeMap<&'static str, String>,
    /// Survives a reboot.
    pub startup: BTreeMap<&'static str, Stored>,
    /// Running values that `save` has not made startup values; survive a restart, not a reboot.
    pub unsaved: BTreeMap<&'static str, Stored>,
    /// What the DHCP server gave.
    pub dhcp: BTreeMap<&'static str, String>,
    /// What the stack itself says, for the rows that only it may write.
    pub stack: BTreeMap<&'static str, String>,
    /// In the order in which they were set.
    pub candidate: Vec<Candidate>,
}

/// A value in force and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce<'a> {
    /// The value.
    pub text: &'a str,
    /// Its source.
    pub source: Source,
}

impl Layers {
    /// The value in force. For rows that DHCP may supply: first the ACS's, until a person sets it later; then
    /// DHCP's, while it is in use; then a person's or a file's; then the factory's.
    pub fn in_force(&self, row: &'static Row) -> InForce<'_> {
        if row.access == Access::Stack {
            let text = self.stack.get(row.name).map_or("", String::as_str);
            return InForce { text, source: Source::Stack };
        }
        let set = self.unsaved.get(row.name).or_else(|| self.startup.get(row.name));
        match set {
            Some(stored) if stored.source == Source::Acs => stored.in_force(),
            _ => match (self.dhcp_value(row), set) {
                (Some(text), _) => InForce { text, source: Source::Dhcp },
                (None, Some(stored)) => stored.in_force(),
                (None, None) => InForce {
                    text: self.factory.get(row.name).map_or("", String::as_str),
                    source: Source::Factory,
                },
            },
        }
    }

    /// The text in force of the row of that name.
    pub fn text(&self, name: &str) -> &str {
        table::row(name).map_or("", |row| self.in_force(row).text)
    }

    /// True when a boolean row is 1.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == "1"
    }

    /// The number in force of a row that holds one.
    pub fn number(&self, name: &str) -> u32 {
        self.text(name).parse().unwrap_or(0)
    }

    /// What DHCP supplies for this row now, if anything.
    pub fn dhcp_value(&self, row: &'static Row) -> Option<&str> {
        // use_dhcp itself never comes from DHCP, so this recursion is one deep.
        let usable = row.from_dhcp && self.is_on(name::USE_DHCP);
        if usable { self.dhcp.get(row.name).map(String::as_str) } else { None }
    }

    /// True when a reboot would bring another value.
    pub fn is_saved(&self, row: &'static Row) -> bool {
        !self.unsaved.contains_key(row.name)
    }

    /// The change that waits for this row.
    pub fn pending(&self, row: &'static Row) -> Option<&Candidate> {
        self.candidate.iter().find(|c| c.row.name == row.name)
    }

    /// Puts a change into the candidate, in the place of an earlier one; a change to the value in force is none.
    pub fn propose(&mut self, row: &'static Row, text: String, who: String, at: UtcTime) {
        let based_on = self.in_force(row).text.to_owned();
        self.candidate.retain(|c| c.row.name != row.name);
        let shadowed = self.dhcp_value(row).is_some();
        if text != based_on || shadowed {
            self.candidate.push(Candidate { row, text, who, at, based_on });
        }
    }

    /// The changes whose value in force has changed since they were set.
    pub fn conflicts(&self) -> impl Iterator<Item = &Candidate> {
        self.candidate.iter().filter(|c| self.in_force(c.row).text != c.based_on)
    }
}

impl Stored {
    fn in_force(&self) -> InForce<'_> {
        InForce { text: &self.text, source: self.source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UtcTime = UtcTime::from_millis(0);

    fn stored(text: &str, source: Source) -> Stored {
        Stored { text: text.to_owned(), source, at: AT }
    }

    fn url() -> &'static Row {
        table::row(name::ACS_URL).unwrap()
    }

    /// (what is there, what is in force): DECISIONS 1, row by row.
    #[test]
    fn precedence_of_the_acs_url() {
        let table = [
            (vec![], ("http://factory/", Source::Factory)),
            (vec![("cli", "http://cli/")], ("http://cli/", Source::Cli)),
            (vec![("dhcp", "http://dhcp/")], ("http://dhcp/", Source::Dhcp)),
            (vec![("cli", "http://cli/"), ("dhcp", "http://dhcp/")], ("http://dhcp/", Source::Dhcp)),
            (vec![("acs", "http://acs/"), ("dhcp", "http://dhcp/")], ("http://acs/", Source::Acs)),
            (vec![("acs", "http://acs/"), ("unsaved", "http://cli/")], ("http://cli/", Source::Cli)),
            (
                vec![("acs", "http://acs/"), ("unsaved", "http://cli/"), ("dhcp", "http://dhcp/")],
                ("http://dhcp/", Source::Dhcp),
            ),
            (vec![("dhcp", "http://dhcp/"), ("off", "")], ("http://factory/", Source::Factory)),
        ];
        for (given, (text, source)) in table {
            let mut layers = Layers::default();
            layers.factory.insert(name::ACS_URL, "http://factory/".to_owned());
            layers.factory.insert(name::USE_DHCP, "1".to_owned());
            for &(what, value) in &given {
                match what {
                    "cli" => drop(layers.startup.insert(name::ACS_URL, stored(value, Source::Cli))),
                    "acs" => drop(layers.startup.insert(name::ACS_URL, stored(value, Source::Acs))),
                    "unsaved" => drop(layers.unsaved.insert(name::ACS_URL, stored(value, Source::Cli))),
                    "dhcp" => drop(layers.dhcp.insert(name::ACS_URL, value.to_owned())),
                    _ => drop(layers.startup.insert(name::USE_DHCP, stored("0", Source::Cli))),
                }
            }
            assert_eq!(layers.in_force(url()), InForce { text, source }, "{given:?}");
        }
    }

    #[test]
    fn a_change_in_between_is_a_conflict() {
        let mut layers = Layers::default();
        layers.propose(url(), "http://mine/".to_owned(), "root".to_owned(), AT);
        assert_eq!(layers.conflicts().count(), 0);
        layers.startup.insert(name::ACS_URL, stored("http://acs/", Source::Acs));
        assert_eq!(layers.conflicts().count(), 1);
    }

    #[test]
    fn setting_the_value_in_force_takes_the_change_back() {
        let mut layers = Layers::default();
        layers.startup.insert(name::ACS_URL, stored("http://a/", Source::Cli));
        layers.propose(url(), "http://b/".to_owned(), "root".to_owned(), AT);
        layers.propose(url(), "http://a/".to_owned(), "root".to_owned(), AT);
        assert!(layers.candidate.is_empty());
    }
}
