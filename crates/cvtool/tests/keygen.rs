//! `cvtool keygen`.

use layerfmt::sign::{PublicKey, SecretKeyFile};
use std::fs;
use std::path::Path;
use std::process::Command;

fn keygen(folder: &Path, arguments: &[&str]) -> bool {
    let run = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .arg("keygen")
        .args(arguments)
        .current_dir(folder)
        .output();
    run.is_ok_and(|output| output.status.success())
}

#[test]
fn keys_are_made_once_and_for_the_owner_alone() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    assert!(keygen(
        folder.path(),
        &["a.key", "--no-password", "--comment", "of the build"]
    ));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path("a.key").metadata()?.permissions().mode() & 0o777, 0o600);
    }
    let secret = fs::read_to_string(path("a.key"))?;
    let (public, comment) = PublicKey::parse(&fs::read_to_string(path("a.pub"))?)?;
    assert_eq!(comment, "of the build");
    assert_eq!(SecretKeyFile::parse(&secret)?.unlock(None)?.public_key(), public);

    // Neither file is overwritten, and nothing of the other is made.
    assert!(!keygen(folder.path(), &["a.key", "--no-password", "--public", "b.pub"]));
    assert!(!keygen(folder.path(), &["b.key", "--no-password", "--public", "a.pub"]));
    assert!(!path("b.pub").exists() && !path("b.key").exists());
    assert_eq!(fs::read_to_string(path("a.key"))?, secret);
    Ok(())
}
