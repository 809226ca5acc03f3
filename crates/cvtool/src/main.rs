//! The command line of cvtool: arguments, progress, printing. What it does is in the crates below.

mod build;
mod capture;
mod clock;
mod demo;
mod diff;
mod examples;
mod image;
mod interrupt;
mod layer;
mod manual;
#[cfg(target_os = "linux")]
mod mount;
mod print;
mod progress;
mod reg;
mod sign;
mod size;
mod stack;
mod volume;
mod whole_file;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// Captures applications into layers, and reads, checks and converts the disk images that hold them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
struct Arguments {
    /// Say more: the causes of an error, line by line; what happens to a mount, on standard error
    #[arg(short, long, global = true)]
    verbose: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job on a small machine that cvtool brings with it
    Demo(demo::Arguments),
    /// Record an install into a layer
    #[command(subcommand)]
    Capture(capture::Command),
    /// Work on disk images by themselves: VHD, VHDX, VMDK and raw
    #[command(subcommand)]
    Image(image::Command),
    /// Work on registries: hives, .reg files and Wine's registry files
    Reg(Box<reg::Arguments>),
    /// Tell what a layer is: its manifest
    Inspect(layer::inspect::Arguments),
    /// Verify a layer: container, volume, hives, every file, and its signature
    Verify(layer::verify::Arguments),
    /// Build a layer from a recipe
    Build(Box<build::Arguments>),
    /// Change a layer: files, registry, scripts, policy, what the manifest says
    Edit(Box<layer::edit::Arguments>),
    /// Make one layer of several that does what they do together
    Squash(layer::squash::Arguments),
    /// Export a layer as the tar or OCI image of a Windows container, or as a folder
    Export(layer::export::Arguments),
    /// Make a layer of a Windows container's tar or OCI image, or of a folder
    Import(layer::import::Arguments),
    /// List what a directory of an NTFS volume holds
    Ls(volume::ls::Arguments),
    /// Draw the tree of directories and files of an NTFS volume
    Tree(volume::tree::Arguments),
    /// Write files or streams of an NTFS volume to standard output
    Cat(volume::cat::Arguments),
    /// Extract files of an NTFS volume to a folder
    Extract(volume::extract::Arguments),
    /// Compare two layers, or a layer and a folder or volume; exit 1 if they differ
    Diff(diff::Arguments),
    /// List what more than one layer of a stack has, and who wins; exit 1 where contents differ
    Conflicts(stack::conflicts::Arguments),
    /// Say why a stack of layers shows what it shows at a path or key; exit 1 where it shows nothing
    Explain(stack::explain::Arguments),
    /// Make a key pair to sign layers with, in the format of minisign
    Keygen(sign::keygen::Arguments),
    /// Sign a layer, in place
    Sign(sign::sign::Arguments),
    /// Mount the merged view of a base, layers and a writable folder
    #[cfg(target_os = "linux")]
    Mount(mount::start::Arguments),
    /// Run a Windows program under Wine on the merged view of a prefix and layers
    #[cfg(target_os = "linux")]
    Run(mount::run::Arguments),
    /// Attach a layer to a mount that is in use
    #[cfg(target_os = "linux")]
    Attach(mount::attach::Arguments),
    /// Detach a layer from a mount that is in use
    #[cfg(target_os = "linux")]
    Detach(mount::detach::Arguments),
    /// Give a layer of a mount another place in the stack, while it is in use
    #[cfg(target_os = "linux")]
    Order(mount::order::Arguments),
    /// Show the stack of a mount, or why a path of it shows what it shows
    #[cfg(target_os = "linux")]
    Status(mount::status::Arguments),
    /// Check or repair a writable folder that is not mounted
    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    Writable(mount::writable::Command),
    /// Print a script that completes the words of cvtool in a shell
    Completions(manual::Completions),
    /// Write the manual pages of all commands
    Man(manual::Man),
}

/// What a command found out, as the exit status tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Done, or no difference: 0.
    Done,
    /// Differences or faults were found: 1.
    Found,
    /// Some of it could not be done, which was said: 2.
    Incomplete,
    /// What a program that was run gave.
    #[cfg(target_os = "linux")]
    Program(u8),
}

/// The command line with its examples.
fn command() -> clap::Command {
    examples::add_to(Arguments::command())
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    interrupt::listen();
    #[cfg(target_os = "linux")]
    mount::log::begin(arguments.verbose);
    match arguments.command.run() {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Ok(Outcome::Incomplete) => ExitCode::from(2),
        #[cfg(target_os = "linux")]
        Ok(Outcome::Program(code)) => ExitCode::from(code),
        Err(error) if print::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error, arguments.verbose);
            ExitCode::from(2)
        }
    }
}

impl Command {
    fn run(&self) -> anyhow::Result<Outcome> {
        match self {
            Self::Demo(arguments) => arguments.run(),
            Self::Capture(command) => command.run(),
            Self::Image(command) => command.run(),
            Self::Reg(arguments) => arguments.run(),
            Self::Inspect(arguments) => arguments.run(),
            Self::Verify(arguments) => arguments.run(),
            Self::Build(arguments) => arguments.run(),
            Self::Edit(arguments) => arguments.run(),
            Self::Squash(arguments) => arguments.run(),
            Self::Export(arguments) => arguments.run(),
            Self::Import(arguments) => arguments.run(),
            Self::Ls(arguments) => arguments.run(),
            Self::Tree(arguments) => arguments.run(),
            Self::Cat(arguments) => arguments.run(),
            Self::Extract(arguments) => arguments.run(),
            Self::Diff(arguments) => arguments.run(),
            Self::Conflicts(arguments) => arguments.run(),
            Self::Explain(arguments) => arguments.run(),
            Self::Keygen(arguments) => arguments.run(),
            Self::Sign(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Mount(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Run(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Attach(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Detach(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Order(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Status(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Writable(command) => command.run(),
            Self::Completions(arguments) => arguments.run(),
            Self::Man(arguments) => arguments.run(),
        }
    }
}

/// Runs a command of cvtool as its words would be typed.
fn run_line(words: &[&str]) -> anyhow::Result<Outcome> {
    let arguments = Arguments::try_parse_from(["cvtool"].iter().chain(words))?;
    arguments.command.run()
}
