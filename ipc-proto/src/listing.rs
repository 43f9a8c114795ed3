//! Entries of an answer, packed: one text, and how long each name and value in it is.

use serde::{Deserialize, Serialize};

/// Names with their values and something about each, such as its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Packed<M>", bound(deserialize = "M: Deserialize<'de>"))]
pub struct Listing<M> {
    text: String,
    entries: Vec<Entry<M>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry<M> {
    /// Bytes.
    name: u32,
    /// Bytes.
    value: u32,
    about: M,
}

/// As it comes in: nothing is sure about the lengths.
#[derive(Deserialize)]
struct Packed<M> {
    text: String,
    entries: Vec<Entry<M>>,
}

/// The lengths do not fit the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lengths of a listing do not fit its text")]
pub struct BadLengths;

impl<M> TryFrom<Packed<M>> for Listing<M> {
    type Error = BadLengths;

    fn try_from(Packed { text, entries }: Packed<M>) -> Result<Self, BadLengths> {
        let mut at = 0usize;
        for length in entries.iter().flat_map(|entry| [entry.name, entry.value]) {
            at = usize::try_from(length).ok().and_then(|n| at.checked_add(n)).ok_or(BadLengths)?;
            if !text.is_char_boundary(at) {
                return Err(BadLengths);
            }
        }
        if at == text.len() { Ok(Self { text, entries }) } else { Err(BadLengths) }
    }
}

impl<M> Default for Listing<M> {
    fn default() -> Self {
        Self { text: String::new(), entries: Vec::new() }
    }
}

impl<M: Copy> Listing<M> {
    /// Adds an entry. What would not fit 4 GiB is left out; pages are far below.
    pub fn push(&mut self, name: &str, value: &str, about: M) {
        let (Ok(name_length), Ok(value_length)) = (u32::try_from(name.len()), u32::try_from(value.len()))
        else {
            return;
        };
        self.text.push_str(name);
        self.text.push_str(value);
        self.entries.push(Entry { name: name_length, value: value_length, about });
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all names and values.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Name, value, and what else is known of it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, M)> {
        let mut rest = self.text.as_str();
        self.entries.iter().map(move |entry| {
            let mut take = |length: u32| {
                let at = usize::try_from(length).unwrap_or(usize::MAX);
                // The lengths were checked when they came in.
                let (taken, left) = rest.split_at_checked(at).unwrap_or((rest, ""));
                rest = left;
                taken
            };
            let name = take(entry.name);
            (name, take(entry.value), entry.about)
        })
    }
}

impl<'a, M: Copy> FromIterator<(&'a str, &'a str, M)> for Listing<M> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str, M)>>(entries: I) -> Self {
        let mut listing = Self::default();
        entries.into_iter().for_each(|(name, value, about)| listing.push(name, value, about));
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let entries = [("a.b", "1", true), ("", "", false), ("\u{20ac}", "\u{1F600}", true)];
        let listing: Listing<bool> = entries.into_iter().collect();
        assert_eq!(listing.iter().collect::<Vec<_>>(), entries);
        assert_eq!((listing.len(), listing.bytes()), (3, 11));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let packed = |text: &str, lengths: &[(u32, u32)]| {
            let entries = lengths.iter().map(|(name, value)| Entry { name: *name, value: *value, about: () });
            Listing::try_from(Packed { text: text.to_owned(), entries: entries.collect() })
        };
        assert!(packed("abc", &[(1, 2)]).is_ok());
        for lengths in [&[(1, 1)][..], &[(1, 3)], &[(u32::MAX, u32::MAX)], &[]] {
            assert_eq!(packed("abc", lengths), Err(BadLengths), "{lengths:?}");
        }
        assert_eq!(packed("\u{20ac}", &[(1, 2)]), Err(BadLengths), "in the middle of a character");
    }
}
