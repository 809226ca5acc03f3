//! Keys and signatures judged by minisign, and minisign's by us.

use layerfmt::sign::{PublicKey, SecretKey, SecretKeyFile, Signature, TrustFile};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

type Outcome = Result<(), Box<dyn Error>>;

/// Whether the tool is there; without it, in CI, the test fails.
fn has_minisign() -> bool {
    let there = Command::new("minisign").arg("-v").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "minisign is not installed");
    if !there {
        eprintln!("skipped: minisign is not installed");
    }
    there
}

fn minisign(folder: &Path, arguments: &[&str], input: &str) -> Result<String, Box<dyn Error>> {
    let mut child = Command::new("minisign")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("minisign {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

#[test]
fn minisign_verifies_our_signatures() -> Outcome {
    if !has_minisign() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let key = SecretKey::generate()?;
    fs::write(path("key.pub"), key.public_key().to_text("ours"))?;
    fs::write(path("layer.json"), b"{\"schema\": \"cvlayer/1\"}\n")?;
    let message = fs::read(path("layer.json"))?;
    let signature = key.sign(&message, "timestamp:1700000000\tfile:layer.json\thashed")?;
    // As it stands in a layer, padded.
    fs::write(path("layer.json.minisig"), signature.to_file_bytes()?)?;
    let said = minisign(folder.path(), &["-Vm", "layer.json", "-p", "key.pub"], "")?;
    assert!(said.contains("file:layer.json"), "{said}");
    fs::write(path("layer.json"), b"{\"schema\": \"cvlayer/2\"}\n")?;
    assert!(minisign(folder.path(), &["-Vm", "layer.json", "-p", "key.pub"], "").is_err());
    Ok(())
}

#[test]
fn we_verify_signatures_of_minisign() -> Outcome {
    if !has_minisign() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let read = |name: &str| fs::read_to_string(folder.path().join(name));
    minisign(folder.path(), &["-G", "-W", "-p", "a.pub", "-s", "a.key"], "")?;
    fs::write(folder.path().join("m"), b"message")?;
    let (key, _) = PublicKey::parse(&read("a.pub")?)?;
    // Prehashed is the default; -l is the older form.
    for (options, prehashed) in [(&["-S"][..], true), (&["-S", "-l"], false)] {
        let arguments = [options, &["-s", "a.key", "-m", "m", "-t", "a trusted comment"]].concat();
        minisign(folder.path(), &arguments, "")?;
        let signature = Signature::parse(&read("m.minisig")?)?;
        assert_eq!(
            (signature.is_prehashed(), signature.trusted_comment()),
            (prehashed, "a trusted comment")
        );
        signature.verify(b"message", &key)?;
        TrustFile::parse(&read("a.pub")?)?.verify(&signature, b"message")?;
        assert!(signature.verify(b"Message", &key).is_err());
    }
    Ok(())
}

#[test]
fn keys_are_shared_with_minisign() -> Outcome {
    if !has_minisign() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("m"), b"message")?;

    // Its keys, with and without a password.
    minisign(folder.path(), &["-G", "-p", "p.pub", "-s", "p.key"], "secret\nsecret\n")?;
    minisign(folder.path(), &["-G", "-W", "-p", "w.pub", "-s", "w.key"], "")?;
    for (name, password) in [("p", Some(&b"secret"[..])), ("w", None)] {
        let file = SecretKeyFile::parse(&fs::read_to_string(path(&format!("{name}.key")))?)?;
        assert_eq!(file.is_protected(), password.is_some());
        let key = file.unlock(password)?;
        let (public, _) = PublicKey::parse(&fs::read_to_string(path(&format!("{name}.pub")))?)?;
        assert_eq!(key.public_key(), public);
        fs::write(path("m.minisig"), key.sign(b"message", "by us")?.to_text())?;
        minisign(folder.path(), &["-Vm", "m", "-p", &format!("{name}.pub")], "")?;
    }

    // Our keys, with and without a password.
    let key = SecretKey::generate()?;
    fs::write(path("ours.pub"), key.public_key().to_text(""))?;
    for password in [Some(&b"secret"[..]), None] {
        fs::write(path("ours.key"), key.to_text("", password)?.as_bytes())?;
        minisign(folder.path(), &["-S", "-s", "ours.key", "-m", "m"], "secret\n")?;
        minisign(folder.path(), &["-Vm", "m", "-p", "ours.pub"], "")?;
    }
    Ok(())
}
