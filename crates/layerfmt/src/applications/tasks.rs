//! Files of the task scheduler: XML in UTF-16 or UTF-8.
//!
//! The schema is that of \[MS-TSCH\], section 2.5.

use cv_winname::wtf8;
use roxmltree::{Document, Node, ParsingOptions};
use std::borrow::Cow;

/// Bytes of a task at most; Windows' own have a few KiB.
pub const MAX_SIZE: u64 = 1 << 20;

/// Elements, attributes and texts of a task at most.
const MAX_NODES: u32 = 100_000;

/// What a task does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskAction {
    /// What is started: a program, or a COM class as its CLSID.
    pub command: String,
    /// With which arguments.
    pub arguments: String,
}

/// Why a task could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It is longer than tasks may be.
    #[error("the task has {0} bytes, and {MAX_SIZE} are the most")]
    TooLarge(u64),
    /// It is neither UTF-16 nor UTF-8.
    #[error("the task is neither UTF-16 nor UTF-8")]
    Encoding,
    /// It is no XML.
    #[error("the task is no valid XML: {0}")]
    Xml(#[from] roxmltree::Error),
    /// It is XML of something else.
    #[error("the XML is of {0:?}, expected \"Task\"")]
    NotATask(String),
}

/// Reads what a task does.
pub fn parse(bytes: &[u8]) -> Result<Vec<TaskAction>, TaskError> {
    if bytes.len() as u64 > MAX_SIZE {
        return Err(TaskError::TooLarge(bytes.len() as u64));
    }
    let text = text(bytes)?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options)?;
    let root = document.root_element();
    if root.tag_name().name() != "Task" {
        return Err(TaskError::NotATask(root.tag_name().name().chars().take(64).collect()));
    }
    let actions = children(root, "Actions").flat_map(|actions| actions.children());
    Ok(actions
        .filter_map(|action| match action.tag_name().name() {
            "Exec" => Some(TaskAction {
                command: text_of(action, "Command"),
                arguments: text_of(action, "Arguments"),
            }),
            "ComHandler" => Some(TaskAction {
                command: text_of(action, "ClassId"),
                arguments: text_of(action, "Data"),
            }),
            _ => None,
        })
        .collect())
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, TaskError> {
    let utf16 = |units: Vec<u16>| {
        String::from_utf16(&units)
            .map(Cow::Owned)
            .map_err(|_| TaskError::Encoding)
    };
    match bytes {
        [0xFF, 0xFE, text @ ..] => utf16(wtf8::from_le_bytes(text)),
        [0xFE, 0xFF, text @ ..] => utf16(
            text.chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect(),
        ),
        [b'<', 0, ..] => utf16(wtf8::from_le_bytes(bytes)),
        [0xEF, 0xBB, 0xBF, text @ ..] | text => utf8(text),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, TaskError> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|_| TaskError::Encoding)
}

fn children<'a, 'input>(node: Node<'a, 'input>, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn text_of(node: Node<'_, '_>, name: &'static str) -> String {
    let text = children(node, name).next().and_then(|child| child.text());
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = r#"<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Actions Context="Author">
    <Exec><Command>"C:\Program Files\App\up.exe"</Command><Arguments>/a &amp; /b</Arguments></Exec>
    <ComHandler><ClassId>{00000000-0000-0000-0000-000000000001}</ClassId></ComHandler>
  </Actions>
</Task>"#;

    #[test]
    fn tasks_are_read_in_every_encoding() {
        let units = |order: fn(u16) -> [u8; 2]| TASK.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let little = units(u16::to_le_bytes);
        let expected = parse(TASK.as_bytes()).unwrap();
        assert_eq!(expected[0].command, r#""C:\Program Files\App\up.exe""#);
        assert_eq!(expected[0].arguments, "/a & /b");
        assert_eq!(expected[1].command, "{00000000-0000-0000-0000-000000000001}");
        for bytes in [
            little.clone(),
            [&[0xFF, 0xFE][..], &little].concat(),
            [&[0xFE, 0xFF][..], &units(u16::to_be_bytes)].concat(),
            [b"\xEF\xBB\xBF", TASK.as_bytes()].concat(),
        ] {
            assert_eq!(parse(&bytes).unwrap(), expected);
        }
    }

    #[test]
    fn entities_and_other_documents_are_refused() {
        let bomb = r#"<!DOCTYPE t [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Task>&b;</Task>"#;
        assert!(matches!(parse(bomb.as_bytes()), Err(TaskError::Xml(_))));
        assert!(matches!(parse(b"<a/>"), Err(TaskError::NotATask(name)) if name == "a"));
    }
}
