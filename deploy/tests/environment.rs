//! The binary and its environment variables.

use std::process::{Command, Output};

const SECRET: &str = "hunter2";

fn orchestrator(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    command.args(arguments).env_clear();
    command.envs(variables.iter().copied());
    command.output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_missing_or_invalid_variable_stops_the_start_with_its_name_and_without_a_secret() {
    let database = format!("postgres://x:{SECRET}@127.0.0.1:1/x");
    let database = ("ORCHESTRATOR_DATABASE_URL", database.as_str());
    let key = ("ORCHESTRATOR_MASTER_KEY", SECRET);
    for (variables, named) in [
        (vec![], "ORCHESTRATOR_DATABASE_URL, ORCHESTRATOR_MASTER_KEY"),
        (vec![database], "ORCHESTRATOR_MASTER_KEY"),
        (
            vec![database, key, ("ORCHESTRATOR_API_PORT", SECRET)],
            "ORCHESTRATOR_API_PORT",
        ),
        (
            vec![database, key, ("ORCHESTRATOR_LOG", "a=b=c")],
            "ORCHESTRATOR_LOG",
        ),
        // it is no key of 32 bytes
        (vec![database, key], "ORCHESTRATOR_MASTER_KEY"),
    ] {
        for command in [
            ["migrate", "--check"].as_slice(),
            &["merchant", "create", "x"],
        ] {
            let output = orchestrator(command, &variables);
            assert!(!output.status.success());
            let error = text(&output.stderr);
            assert!(error.contains(named), "{error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }
}

#[test]
fn variables_are_listed_without_their_values_before_any_is_set() {
    for variables in [vec![], vec![("ORCHESTRATOR_MASTER_KEY", SECRET)]] {
        let output = orchestrator(&["config"], &variables);
        assert!(output.status.success());
        let listed = text(&output.stdout);
        assert!(
            listed.contains("ORCHESTRATOR_MASTER_KEY [required]"),
            "{listed}"
        );
        assert!(!listed.contains(SECRET));
        let help = orchestrator(&["--help"], &variables);
        assert!(help.status.success() && !text(&help.stdout).contains(SECRET));
    }
}
