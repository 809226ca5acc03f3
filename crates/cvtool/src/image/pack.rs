//! `cvtool image pack`.

use super::create::Output;
use crate::clock::source_date_epoch;
use crate::{Outcome, print, progress, size};
use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use cv_disk::partition::SectorSize;
use cv_disk::{DurableFile, Progress, Resize, WriteAt};
use cv_image::{Format, NewImage, Origin};
use cv_ntfs::structure::NtfsTime;
use cv_ntfs::write::{
    CaseConflicts, Compression, Hashes, NameRule, Plan, PlanError, PlanOptions, StreamId, WriteOptions, plan, write,
};
use cv_volume::{
    Counted, DiskLayout, FolderError, FolderOptions, HostSecurity, HostTimes, HostTree, LeftOut, Scheme, SymlinkStyle,
    open_top, read_folder,
};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What to pack, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder
    folder: PathBuf,

    /// The new image; a file there is replaced
    #[arg(short, long, value_name = "IMAGE")]
    output: PathBuf,

    /// The volume's label
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,

    /// Size of the disk; without it as small as fits, and some room to work
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    size: Option<u64>,

    /// Bytes in a cluster, from the sector size to 2M; 4K unless the volume is larger than 16T
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    cluster: Option<u64>,

    /// Let contents, and the volume itself, begin at multiples of this many bytes
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    align: Option<u64>,

    /// Compress contents: as NTFS does, or as Windows 10 and later compress programs
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "lznt1")]
    compress: Option<How>,

    /// Give long names 8.3 names
    #[arg(long)]
    short_names: bool,

    /// The volume's serial number, 16 hexadecimal digits; without it one that follows from what is packed
    #[arg(long, value_name = "HEX", value_parser = parse_serial)]
    serial: Option<u64>,

    /// Names in one folder that differ in case alone: an error, numbered, or kept for case-sensitive programs
    #[arg(long, value_name = "WHAT", default_value = "error")]
    on_case_conflict: OnCaseConflict,

    /// Names that Windows programs cannot open, such as `nul` or `a:b`: an error, or packed
    #[arg(long, value_name = "WHICH", default_value = "windows")]
    names: Names,

    /// Symbolic links: those of NTFS, or those of the Windows Subsystem for Linux
    #[arg(long, value_name = "KIND", default_value = "ntfs")]
    symlinks: Symlinks,

    /// Times: the modification time for all, or all as the host has them
    #[arg(long, value_name = "WHICH", default_value = "modified")]
    times: Times,

    /// Security: as Windows has it in the same place of drive C:, and private where the mode is; as the place alone has it;
    /// or one for all
    #[arg(long, value_name = "FROM", default_value = "mode")]
    security: Security,

    /// Hide files whose name begins with a dot
    #[arg(long)]
    hide_dot_files: bool,

    /// No partition table: the volume is the whole disk
    #[arg(long)]
    no_partition: bool,

    /// Also write the SHA-256 of every content to this file, as sha256sum does
    #[arg(long, value_name = "FILE")]
    sha256: Option<PathBuf>,

    /// Threads that read and write
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,

    #[command(flatten)]
    layout: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum How {
    Lznt1,
    Xpress4k,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnCaseConflict {
    Error,
    Rename,
    Keep,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Names {
    Windows,
    Any,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Symlinks {
    Ntfs,
    Wsl,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Times {
    Modified,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Security {
    Mode,
    Place,
    None,
}

fn parse_serial(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| format!("{text:?} is no serial number of up to 16 hexadecimal digits"))
}

impl Arguments {
    /// Packs the folder.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let folder_name = || self.folder.display().to_string();
        let bar = progress::Bar::new("Packing");
        let HostTree {
            tree,
            source,
            left_out,
            newest,
        } = self.read(&bar)?;

        let mut layout = self.layout.layout(&self.output, None)?;
        let sector_size = match layout.sector_size {
            Some(bytes) => {
                SectorSize::from_bytes(bytes).ok_or_else(|| anyhow!("a sector has 512 or 4096 bytes, not {bytes}"))?
            }
            None => SectorSize::Bytes512,
        };
        if layout.format == Format::Raw {
            // The file does not say; the volume and its partition table do.
            layout.sector_size = None;
        }
        let mut disk_layout = DiskLayout {
            scheme: match layout.format {
                _ if self.no_partition => Scheme::Bare,
                format if format.prefers_gpt() => Scheme::Gpt,
                _ => Scheme::Mbr,
            },
            sector_size,
            alignment: self.align.unwrap_or(1),
        };
        if let Some(size) = self.size {
            disk_layout = disk_layout.for_size(size);
        }
        let epoch = source_date_epoch()?;
        let options = self.plan_options(&disk_layout, epoch)?;
        let plan = match plan(tree, &options) {
            Ok(plan) => plan,
            Err(error) => return Err(tell_plan_error(&self.folder, error)).with_context(folder_name),
        };
        let (disk_layout, disk_size) = disk_layout.fitted(plan.volume_size(), self.size);

        let seed = format!("{:016x} {disk_size} {}", plan.serial(), self.label);
        layout.origin = Origin::reproducible(epoch.unwrap_or_else(|| newest.to_unix().0), seed.as_str());
        let output_name = || self.output.display().to_string();
        let image = NewImage::create(&self.output, disk_size, &layout).with_context(output_name)?;
        disk_layout
            .write_table(image.disk(), plan.volume_size(), &self.label, &seed)
            .with_context(output_name)?;
        let volume = disk_layout
            .place(image.disk(), plan.volume_size())
            .with_context(output_name)?;
        let mut write_options = WriteOptions::default();
        write_options.hash = self.sha256.is_some();
        write_options.threads = self.threads.unwrap_or(write_options.threads);
        let written = write(&plan, &source, &volume, &write_options, &bar).with_context(folder_name)?;
        drop(bar);
        let sums = self
            .sha256
            .as_deref()
            .map(|path| write_sums(path, &plan, &written.hashes))
            .transpose()?;
        image.finish().with_context(output_name)?;
        if let Some(sums) = sums {
            sums.commit()
                .with_context(|| self.sha256.as_deref().unwrap_or(Path::new("")).display().to_string())?;
        }
        tell_left_out(&self.folder, &left_out);
        Ok(Outcome::Done)
    }

    fn read(&self, progress: &dyn Progress) -> anyhow::Result<HostTree> {
        let name = || self.folder.display().to_string();
        let options = FolderOptions {
            symlinks: match self.symlinks {
                Symlinks::Ntfs => SymlinkStyle::Ntfs,
                Symlinks::Wsl => SymlinkStyle::Wsl,
            },
            times: match self.times {
                Times::Modified => HostTimes::Modification,
                Times::All => HostTimes::All,
            },
            security: match self.security {
                Security::Mode => HostSecurity::PlaceAndMode,
                Security::Place => HostSecurity::Place,
                Security::None => HostSecurity::None,
            },
            compression: match self.compress {
                None => Compression::None,
                Some(How::Lznt1) => Compression::Lznt1,
                Some(How::Xpress4k) => Compression::WofXpress4k,
            },
            small_clusters: self.cluster.is_none_or(|size| size <= 4096),
            name_rule: self.name_rule(),
            hide_dot_files: self.hide_dot_files,
        };
        let top = open_top(&self.folder).with_context(name)?;
        let path = self.folder.canonicalize().with_context(name)?;
        match read_folder(top, Some(path), &options, progress) {
            Ok(read) => Ok(read),
            Err(error) => {
                if let FolderError::Problems { problems, .. } = &error {
                    for problem in problems {
                        let path = print::name(&problem.path);
                        print::warn(&format!("{}/{path}: {}", name(), print::printable(&problem.reason)));
                    }
                }
                Err(error).with_context(name)
            }
        }
    }

    fn name_rule(&self) -> NameRule {
        match self.names {
            Names::Windows => NameRule::Windows,
            Names::Any => NameRule::Any,
        }
    }

    fn plan_options(&self, disk: &DiskLayout, epoch: Option<i64>) -> anyhow::Result<PlanOptions> {
        let size = self.size.unwrap_or(0);
        let from_disk = disk.plan_options(self.size);
        let from_disk = from_disk.with_context(|| format!("a disk of {size} bytes has no room for a volume"))?;
        let time = |seconds| NtfsTime::from_unix(seconds, 0).ok_or_else(|| anyhow!("SOURCE_DATE_EPOCH is before 1601"));
        Ok(PlanOptions {
            cluster_size: self
                .cluster
                .map(u32::try_from)
                .transpose()
                .context("the cluster size is too large")?,
            label: self.label.encode_utf16().collect(),
            serial: self.serial,
            time: epoch.map(time).transpose()?,
            short_names: self.short_names,
            name_rule: self.name_rule(),
            case_conflicts: match self.on_case_conflict {
                OnCaseConflict::Error => CaseConflicts::Refuse,
                OnCaseConflict::Rename => CaseConflicts::Rename,
                OnCaseConflict::Keep => CaseConflicts::Keep,
            },
            ..from_disk
        })
    }
}

/// Lists what the planner found wrong with names, one a line; gives what is to be said at the end.
fn tell_plan_error(folder: &Path, error: PlanError) -> anyhow::Error {
    let tell = |line: String| print::warn(&format!("{}: {}", folder.display(), print::printable(&line)));
    match error {
        PlanError::Names(problems) => {
            for problem in &problems {
                tell(problem.to_string());
            }
            anyhow!("{} names that Windows cannot use", problems.len())
        }
        PlanError::CaseConflicts(conflicts) => {
            for conflict in &conflicts {
                tell(conflict.to_string());
            }
            anyhow!("{} pairs of names that are the same to Windows", conflicts.len())
        }
        error => error.into(),
    }
}

fn tell_left_out(folder: &Path, left_out: &LeftOut) {
    let tell = |counted: &Counted, what: &str| {
        if counted.count > 0 {
            let first = print::name(&counted.first);
            print::warn(&format!(
                "{}: {} {what}, the first is {first}",
                folder.display(),
                counted.count
            ));
        }
    };
    tell(&left_out.special, "FIFOs, sockets or devices are left out");
    tell(&left_out.foreign_links, "links to places outside became WSL links");
    tell(
        &left_out.object_ids,
        "object ids that another file has too are left out",
    );
}

/// Writes the sums in the order of the paths, to be committed with the image.
fn write_sums(path: &Path, plan: &Plan, hashes: &Hashes) -> anyhow::Result<DurableFile> {
    let tree = plan.tree();
    let mut lines: Vec<(Vec<u8>, StreamId)> = tree
        .streams()
        .map(|stream| {
            let mut path = cv_winname::wtf8::encode(&tree.path(tree.file_of(stream)));
            path.iter_mut()
                .filter(|byte| **byte == b'\\')
                .for_each(|byte| *byte = b'/');
            if !tree.stream_name(stream).is_empty() {
                path.push(b':');
                cv_winname::wtf8::encode_into(tree.stream_name(stream), &mut path);
            }
            path.remove(0);
            (path, stream)
        })
        .collect();
    lines.sort();
    let mut text = Vec::new();
    for (path, stream) in lines {
        for byte in hashes.get(stream).into_iter().flatten() {
            write!(text, "{byte:02x}")?;
        }
        text.extend_from_slice(b"  ");
        text.extend_from_slice(&path);
        text.push(b'\n');
    }
    let name = || path.display().to_string();
    let file = DurableFile::create(path).with_context(name)?;
    file.disk().set_len(text.len() as u64).with_context(name)?;
    file.disk().write_at(&text, 0).with_context(name)?;
    Ok(file)
}
