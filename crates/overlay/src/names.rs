//! How the names of a stack compare.

use core::cmp::Ordering;

use cv_winname::UpcaseTable;

/// How the names of a stack compare: by a `$UpCase` table, with or without case.
#[derive(Clone, Debug)]
pub struct Names {
    table: UpcaseTable,
    case_sensitive: bool,
}

impl Names {
    /// Without case, as Windows does, by the table of Windows.
    pub fn windows() -> Self {
        Self::folded(UpcaseTable::windows().clone())
    }

    /// Without case, by the table of a volume.
    pub fn folded(table: UpcaseTable) -> Self {
        Self {
            table,
            case_sensitive: false,
        }
    }

    /// With case: names that differ in any unit are different names.
    pub fn case_sensitive() -> Self {
        Self {
            table: UpcaseTable::windows().clone(),
            case_sensitive: true,
        }
    }

    /// Whether case makes a difference.
    pub fn is_case_sensitive(&self) -> bool {
        self.case_sensitive
    }

    /// The order of names in a listing: by upper case and, where case makes a difference, by the units themselves. What
    /// is equal is one name.
    pub fn compare(&self, left: &[u16], right: &[u16]) -> Ordering {
        if self.case_sensitive {
            self.table.collate(left, right)
        } else {
            self.table.compare(left, right)
        }
    }

    /// Whether two names are one.
    pub fn equal(&self, left: &[u16], right: &[u16]) -> bool {
        left.len() == right.len() && self.compare(left, right) == Ordering::Equal
    }

    /// Whether a name begins with these units.
    pub fn starts_with(&self, name: &[u16], prefix: &[u16]) -> bool {
        name.get(..prefix.len()).is_some_and(|start| self.equal(start, prefix))
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::windows()
    }
}
