//! The output of a program that runs.

use std::io::Read;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of an installer's output that are kept.
const MOST_OUTPUT: usize = 64 << 10;

/// What a program writes, the last of it.
#[derive(Debug, Clone, Default)]
pub struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Takes what a program writes as it comes. Programs that go on in the background hold the pipes open, and are not waited
    /// for.
    pub fn of(child: &mut Child) -> Self {
        let output = Self::default();
        let pipes = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        for mut pipe in pipes.into_iter().flatten() {
            let output = output.0.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
                    output.extend_from_slice(&buffer[..length]);
                    let excess = output.len().saturating_sub(MOST_OUTPUT);
                    output.drain(..excess);
                }
            });
        }
        output
    }

    /// What has come so far.
    pub fn text(&self) -> String {
        let output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&output).into_owned()
    }
}
