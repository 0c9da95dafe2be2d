use schemas::gateway::GatewayApi;

use gateways::Endpoints;

use super::*;

const DATABASE: &str = "--database-url=postgres://x:hunter2@localhost/x";
const KEY: &str = "--master-key=hunter2";

#[test]
fn two_variables_are_enough() {
    let config = Config::read([DATABASE, KEY]).expect("enough");
    assert_eq!(config.http.api_port, 8080);
    assert_eq!(config.database.requests_at_work(), 16);
    assert_eq!(
        config.timing().delivery.delays_s,
        Timing::default().delivery.delays_s
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn an_invalid_variable_is_named_and_its_value_is_not_repeated() {
    for (argument, variable) in [
        ("--api-port=hunter2", "ORCHESTRATOR_API_PORT"),
        ("--log-format=hunter2", "ORCHESTRATOR_LOG_FORMAT"),
        (
            "--delivery-delays-s=5,hunter2",
            "ORCHESTRATOR_DELIVERY_DELAYS_S",
        ),
        (
            "--allow-private-webhooks=hunter2",
            "ORCHESTRATOR_ALLOW_PRIVATE_WEBHOOKS",
        ),
        (
            "--test-efi-pix-url=hunter2",
            "ORCHESTRATOR_TEST_EFI_PIX_URL",
        ),
    ] {
        let error = Config::read([DATABASE, KEY, argument]).expect_err(argument);
        let ConfigError::Invalid { name, why } = &error else {
            panic!("{error}")
        };
        assert_eq!(name, variable);
        assert!(
            !why.is_empty() && !error.to_string().contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn every_gateway_api_has_an_address_in_test_mode() {
    let config = Config::read([
        DATABASE,
        KEY,
        "--test-stripe-url=http://127.0.0.1:1",
        "--test-efi-ca-file=/ca.pem",
    ]);
    let test = config.expect("valid").test_gateways;
    assert_eq!(test.urls.keys().collect::<Vec<_>>(), [&GatewayApi::Stripe]);
    let endpoints = test.endpoints();
    assert_eq!(
        endpoints.urls[&GatewayApi::Stripe].as_str(),
        "http://127.0.0.1:1/"
    );
    let efi_pix = GatewayApi::EfiPix;
    assert_eq!(
        endpoints.urls[&efi_pix],
        Endpoints::sandbox().urls[&efi_pix]
    );
    assert!(endpoints.ca_file.is_some());
}

#[test]
fn every_variable_is_documented_with_its_default() {
    let documented = documentation();
    let mut names: Vec<_> = test_gateways::configurable()
        .map(test_gateways::variable)
        .collect();
    names.extend(
        [
            "DATABASE_URL [required]",
            "API_PORT [default: 8080]",
            "DELIVERY_DELAYS_S [default: 0,5,30,120,600,1800,3600,7200,14400,28800]",
            "LOG_FORMAT [default: pretty]",
            "DOCS_URL [default: http://127.0.0.1:8080/docs]",
        ]
        .map(|name| format!("ORCHESTRATOR_{name}")),
    );
    for name in names {
        assert!(
            documented.contains(&format!("{name}\n    ")),
            "{name}: {documented}"
        );
    }
    assert!(
        !documented.contains("\n    \n"),
        "a variable is not documented"
    );
    let variables = variables();
    for argument in variables
        .get_arguments()
        .filter(|argument| argument.get_id() != "help")
    {
        let name = argument.get_env().expect("a variable").to_string_lossy();
        assert!(name.starts_with("ORCHESTRATOR_"), "{name}");
    }
}
