#![doc = include_str!("../README.md")]

use std::{
    cell::RefCell,
    collections::BTreeSet,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

/// Efí's API Pix.
pub const EFI_PIX: &str = include_str!("../efi_pix.yaml");
/// Efí's API Cobranças.
pub const EFI_COBRANCAS: &str = include_str!("../efi_cobrancas.yaml");
/// Stripe.
pub const STRIPE: &str = include_str!("../stripe.yaml");
/// Asaas.
pub const ASAAS: &str = include_str!("../asaas.yaml");

thread_local! {
    /// The files that this thread's test has been skipped for. Each test has a thread of its own.
    static SKIPPED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Returns the text of a third-party document. If it is not on this machine, prints once that the test is skipped.
pub fn read(file: &str) -> Option<String> {
    let text = find(file);
    if text.is_none() {
        skip(file);
    }
    text
}

fn find(file: &str) -> Option<String> {
    let files = folders().into_iter().map(|folder| folder.join(file));
    files
        .filter(|path| path.is_file())
        .find_map(|path| fs::read_to_string(path).ok())
}

/// Prints once that the test in this thread is skipped, fully or in part, because `file` is missing.
pub fn skip(file: &str) {
    if !SKIPPED.with_borrow_mut(|skipped| skipped.insert(file.to_owned())) {
        return;
    }
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // written to the stream directly: the test harness captures the output of `print!` for a test that passes
    let _ = writeln!(io::stderr(), "skipped: {test}: {file} is not here");
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = env::var_os("TEST_SPECS")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    for above in Path::new(env!("CARGO_MANIFEST_DIR")).ancestors() {
        folders.push(above.join(".run/tools/specs"));
        folders.push(above.join("shared/specs"));
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_is_not_here_is_none() {
        assert_eq!(find("no-such-document.json"), None);
        assert!(
            folders()
                .iter()
                .any(|folder| folder.ends_with("shared/specs"))
        );
    }
}
