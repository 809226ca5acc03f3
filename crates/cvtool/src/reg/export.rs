//! `cvtool reg FILE [KEY] --export OUT.reg`.

use super::source;
use crate::{Outcome, print, whole_file};
use anyhow::Context;
use clap::ValueEnum;
use cv_disk::Faults;
use cv_hive::Name;
use cv_hive::file::RegistryFile;
use cv_hive::reg::{Exporter, Form, Omitted};
use std::io;
use std::path::Path;

/// Forms of `.reg` files, as the command line names them.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormName {
    /// Version 5.00 in UTF-16, as regedit writes
    #[value(name = "5")]
    Version5,
    /// Version 5.00 in UTF-8
    #[value(name = "5-utf8")]
    Version5Utf8,
    /// REGEDIT4 in Windows-1252
    #[value(name = "4")]
    Regedit4,
}

impl FormName {
    /// The form itself.
    pub fn form(self) -> Form {
        match self {
            Self::Version5 => Form::Version5,
            Self::Version5Utf8 => Form::Version5Utf8,
            Self::Regedit4 => Form::Regedit4,
        }
    }
}

/// Writes the key of these names and everything below it.
pub fn run(file: &RegistryFile, path: &Path, names: &[Name], out: &Path, form: FormName) -> anyhow::Result<Outcome> {
    let in_out = || out.display().to_string();
    let mut faults = Faults::new();
    let omitted = if file.standing().root().names().is_empty() && names.is_empty() {
        // Each first key of a .reg file is a root of its own.
        let tree = file
            .tree(names, &mut faults)
            .with_context(|| path.display().to_string())?;
        whole_file::stream(out, |writer| {
            let mut exporter = None;
            for key in &tree.subkeys {
                let top = file.standing().full_path(std::slice::from_ref(&key.name));
                match &mut exporter {
                    None => exporter = Some(Exporter::new(&mut *writer, form.form(), &top)?),
                    Some(exporter) => exporter.set_top(&top)?,
                }
                if let Some(exporter) = &mut exporter {
                    key.visit(exporter)?;
                }
            }
            Ok::<_, io::Error>(
                exporter
                    .map(Exporter::finish)
                    .transpose()?
                    .map(|(_, omitted)| omitted)
                    .unwrap_or_default(),
            )
        })
    } else {
        let top = file.standing().full_path(names);
        whole_file::stream(out, |writer| {
            let mut exporter = Exporter::new(writer, form.form(), &top)?;
            file.visit(names, &mut exporter, &mut faults)
                .map_err(io::Error::other)??;
            Ok(exporter.finish()?.1)
        })
    };
    let omitted = omitted.with_context(in_out)?;
    let is_complete = tell_omitted(path, &omitted);
    Ok(if source::tell(path, &faults) && is_complete {
        Outcome::Done
    } else {
        Outcome::Incomplete
    })
}

/// Says what a `.reg` file cannot hold; whether that is nothing.
pub fn tell_omitted(path: &Path, omitted: &Omitted) -> bool {
    for omission in omitted.listed() {
        let line = print::printable(&omission.to_string());
        print::warn(&format!("{}: left out: {line}", path.display()));
    }
    if omitted.more() > 0 {
        print::warn(&format!("{}: and {} more are left out", path.display(), omitted.more()));
    }
    omitted.is_empty()
}
