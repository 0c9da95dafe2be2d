use super::*;
use proptest::prelude::*;

const STATIC: &str = "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-426655440000\
    5204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D";
const DYNAMIC: &str = "00020126880014br.gov.bcb.pix2566qrcodes-pix.gerencianet.com.br/v2/\
    7796e273b8e447c2b2c0ac2c58fe1a135204000053039865802BR5913FULANO DE TAL6009SAO PAULO\
    62070503***6304B63E";

fn static_code() -> BrCode {
    BrCode {
        account: Account::Key {
            key: "123e4567-e12b-12d1-a456-426655440000".into(),
            description: None,
            txid: None,
        },
        amount: None,
        name: "Fulano de Tal".into(),
        city: "BRASILIA".into(),
        postal_code: None,
        single_use: false,
    }
}

fn dynamic_code() -> BrCode {
    let host = "qrcodes-pix.gerencianet.com.br";
    BrCode {
        account: Account::Location(format!("{host}/v2/7796e273b8e447c2b2c0ac2c58fe1a13")),
        name: "FULANO DE TAL".into(),
        city: "SAO PAULO".into(),
        ..static_code()
    }
}

/// Returns a payload of these fields with a correct checksum.
fn sealed(fields: &str) -> String {
    let body = format!("{fields}{CHECKSUM_TAG}");
    format!("{body}{}", checksum(&body))
}

#[test]
fn the_checksum_is_the_known_one() {
    assert_eq!(checksum("123456789"), "29B1");
}

#[test]
fn the_known_payloads_are_read_and_written() {
    for (code, text) in [(static_code(), STATIC), (dynamic_code(), DYNAMIC)] {
        assert_eq!(BrCode::parse(text), Ok(code.clone()));
        assert_eq!(code.build().as_deref(), Ok(text));
    }
}

#[test]
fn accents_are_written_plainly_so_that_bytes_and_characters_agree() {
    let code = BrCode {
        name: "Açaí & Cia".into(),
        city: "SÃO PAULO".into(),
        ..static_code()
    };
    let text = code.build().unwrap();
    assert!(text.is_ascii() && text.contains("6009SAO PAULO"));
    assert_eq!(BrCode::parse(&text).unwrap().name, "Acai & Cia");
}

#[test]
fn lengths_of_others_are_counted_in_characters() {
    let text = sealed(&STATIC[..STATIC.len() - 8].replace("6008BRASILIA", "6009SÃO PAULO"));
    assert_eq!(BrCode::parse(&text).unwrap().city, "SÃO PAULO");
}

#[test]
fn what_cannot_be_written_is_refused_with_its_tag() {
    let key = |key: &str, description: &str, txid: &str| Account::Key {
        key: key.into(),
        description: Some(description.into()),
        txid: Some(txid.into()),
    };
    let location = |text: &str| Account::Location(text.into());
    let with = |account| BrCode {
        account,
        ..static_code()
    };
    for (code, message) in [
        (
            with(location(&"x".repeat(78))),
            "tag 26-25 is longer than 77 characters",
        ),
        (
            with(location("https://pix.example/1")),
            "tag 26-25 must not begin with a scheme",
        ),
        (with(key("", "d", "t")), "tag 26-01 is missing"),
        (
            with(key("a b", "d", "t")),
            "tag 26-01 holds a blank or a character outside ASCII",
        ),
        (
            with(key(&"k".repeat(40), &"d".repeat(34), "t")),
            "tag 26 is longer than 99 characters",
        ),
        (
            with(key("k", "d", &"t".repeat(26))),
            "tag 62-05 is not 1 to 25 letters and digits",
        ),
        (
            BrCode {
                amount: Some(0),
                ..static_code()
            },
            "tag 54 is not between 0.01 and 9999999999.99",
        ),
        (
            BrCode {
                name: "n".repeat(26),
                ..static_code()
            },
            "tag 59 is longer than 25 characters",
        ),
        (
            BrCode {
                name: "日本".into(),
                ..static_code()
            },
            "tag 59 holds a character that has no plain form",
        ),
        (
            BrCode {
                city: String::new(),
                ..static_code()
            },
            "tag 60 is missing",
        ),
        (
            BrCode {
                postal_code: Some("01310-100".into()),
                ..static_code()
            },
            "tag 61 is not eight digits",
        ),
    ] {
        assert_eq!(code.build().unwrap_err().to_string(), message);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_tag() {
    let body = &STATIC[..STATIC.len() - 8];
    for (text, message) in [
        (
            String::new(),
            "tag 63 is missing or does not match the text before it",
        ),
        ("x".repeat(513), "the payload is longer than 512 characters"),
        (sealed(&body.replace("5802BR", "")), "tag 58 is missing"),
        (
            sealed(&body.replace("5303986", "5303840")),
            "tag 53 is not what a Pix payload holds there",
        ),
        (
            sealed(&body.replace("0014br.gov", "0015br.gov")),
            "tag 26-13 is cut short or not a tag and length",
        ),
        (
            sealed(&format!("{body}5912FULANO DE TA")),
            "tag 59 occurs twice",
        ),
        (
            sealed(&format!("{body}54041,50")),
            "tag 54 is not an amount with up to two decimals",
        ),
        (
            sealed(&format!("{body}xx")),
            "tag xx is cut short or not a tag and length",
        ),
    ] {
        assert_eq!(BrCode::parse(&text).unwrap_err().to_string(), message);
    }
}

#[test]
fn amounts_of_others_are_read_exactly() {
    let body = &STATIC[..STATIC.len() - 8];
    for (written, amount) in [
        ("98", 9800),
        ("98.7", 9870),
        ("0.07", 7),
        ("1234567.89", 123_456_789),
    ] {
        let text = sealed(&format!("{body}54{:02}{written}", written.len()));
        assert_eq!(BrCode::parse(&text).unwrap().amount, Some(amount));
    }
    assert_eq!(
        BrCode::parse(&sealed(&format!("{body}54040.00")))
            .unwrap()
            .amount,
        None
    );
}

fn any_account() -> impl Strategy<Value = Account> {
    let key = (
        "[!-~]{1,40}",
        prop::option::of("[ -~]{1,33}"),
        prop::option::of("[a-zA-Z0-9]{1,25}"),
    );
    prop_oneof![
        "[a-z0-9./-]{1,77}".prop_map(Account::Location),
        key.prop_map(|(key, description, txid)| Account::Key {
            key,
            description,
            txid
        }),
    ]
}

prop_compose! {
    fn any_code()(
        account in any_account(),
        amount in prop::option::of(1..=MAX_AMOUNT),
        name in "[ -~]{1,25}",
        city in "[ -~]{1,15}",
        postal_code in prop::option::of("[0-9]{8}"),
        single_use: bool,
    ) -> BrCode {
        BrCode { account, amount, name, city, postal_code, single_use }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(code in any_code()) {
        prop_assert_eq!(BrCode::parse(&code.build().unwrap()), Ok(code));
    }

    #[test]
    fn one_changed_character_never_goes_unnoticed(
        code in any_code(), at: prop::sample::Index, new in b' '..=b'~',
    ) {
        let text = code.build().unwrap();
        let mut changed = text.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != new);
        changed[at] = new;
        prop_assert!(BrCode::parse(&String::from_utf8(changed).unwrap()).is_err());
    }

    #[test]
    fn no_text_panics(fields in "\\PC{0,60}", start in 0..3_usize) {
        let prefix = ["", "000201", "000201260"][start];
        let _ = BrCode::parse(&sealed(&format!("{prefix}{fields}")));
        let _ = BrCode::parse(&fields);
    }
}
