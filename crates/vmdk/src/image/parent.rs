//! What a differencing image says of its parent.

/// What tells one state of an image's content from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The content id, `CID`; drawn anew when the content changes.
    pub cid: u32,
    /// `ddb.longContentID`, where the image has one.
    pub long_content_id: Option<String>,
}

/// The parent of a differencing image, as its descriptor names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentReference {
    /// `parentCID`: the content id that the parent must have.
    pub cid: u32,
    /// `parentFileNameHint`: the path of the parent's descriptor as stored. Relative ones are relative to the child's
    /// folder.
    pub file_name_hint: Option<String>,
}

impl ParentReference {
    /// Whether an image of this identity is the parent in the state in which the child was made.
    pub fn matches(&self, identity: &Identity) -> bool {
        self.cid == identity.cid
    }

    /// The paths to try, in this order.
    pub fn candidate_paths(&self) -> impl Iterator<Item = &str> {
        self.file_name_hint.as_deref().into_iter()
    }
}
