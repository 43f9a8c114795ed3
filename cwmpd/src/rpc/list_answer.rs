//! The answers that are lists, such as GetParameterValuesResponse, written page by page (DECISIONS 40).

use ipc_proto::worker::Page;

use super::{get_parameter_attributes, get_parameter_names, get_parameter_values};
use crate::soap::{EnvelopeWriter, Head};

/// Which answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// GetParameterValuesResponse
    Values,
    /// GetParameterNamesResponse
    Names,
    /// GetParameterAttributesResponse
    Attributes,
}

/// An answer while it is written.
#[derive(Clone, Debug)]
pub struct ListAnswer {
    kind: ListKind,
    left: usize,
    out: EnvelopeWriter,
}

/// The supervisor's pages are not what it prepared; the answer cannot be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Names for values, or values for names.
    #[error("the supervisor sent a page of the wrong kind")]
    Kind,
    /// The session, and its reads with it.
    #[error("the supervisor has ended this session")]
    Gone,
    /// More or fewer entries than the announced count.
    #[error("the supervisor's pages do not add up to the count that it prepared")]
    Count,
}

impl ListAnswer {
    /// Begins the answer with `count` entries.
    pub fn begin(kind: ListKind, head: Head<'_>, count: u32) -> Self {
        let left = usize::try_from(count).unwrap_or(usize::MAX);
        let (response, item) = names(kind);
        let mut out = EnvelopeWriter::begin(head);
        out.open(response);
        out.open_array("ParameterList", item, left);
        let mut answer = Self { kind, left, out };
        answer.end_when_complete();
        answer
    }

    /// True when all entries are written, and the envelope is ended.
    pub fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Writes the next page.
    pub fn page(&mut self, page: &Page) -> Result<(), PageError> {
        let entries = match page {
            Page::Values(values) => values.len(),
            Page::Names(names) => names.len(),
            Page::Attributes(attributes) => attributes.len(),
        };
        self.left = match self.left.checked_sub(entries) {
            Some(left) if entries > 0 => left,
            _ => return Err(PageError::Count),
        };
        match (self.kind, page) {
            (ListKind::Values, Page::Values(values)) => {
                values.iter().for_each(|entry| get_parameter_values::item(&mut self.out, entry));
            }
            (ListKind::Names, Page::Names(names)) => {
                names
                    .iter()
                    .for_each(|(name, _, writable)| get_parameter_names::item(&mut self.out, name, writable));
            }
            (ListKind::Attributes, Page::Attributes(attributes)) => {
                attributes
                    .iter()
                    .for_each(|(name, _, of)| get_parameter_attributes::item(&mut self.out, name, of));
            }
            _ => return Err(PageError::Kind),
        }
        self.end_when_complete();
        Ok(())
    }

    /// How many bytes are written and not yet taken.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes what was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        self.out.take()
    }

    fn end_when_complete(&mut self) {
        if self.left == 0 {
            self.out.close("ParameterList");
            self.out.close(names(self.kind).0);
            self.out.end();
        }
    }
}

fn names(kind: ListKind) -> (&'static str, &'static str) {
    match kind {
        ListKind::Values => (get_parameter_values::RESPONSE, get_parameter_values::ITEM),
        ListKind::Names => (get_parameter_names::RESPONSE, get_parameter_names::ITEM),
        ListKind::Attributes => (get_parameter_attributes::RESPONSE, get_parameter_attributes::ITEM),
    }
}
