//! CPF and CNPJ.

/// Upper case, without punctuation.
pub(super) fn normal(text: &str) -> String {
    let kept = text.chars().filter(|c| !matches!(c, '.' | '-' | '/' | ' '));
    kept.collect::<String>().to_uppercase()
}

/// Check digits, modulo 11: a character is worth its code less 48, weights grow from 2 at the right end, to 11 for a CPF and to 9,
/// then from 2 again, for a CNPJ.
pub(super) fn is_valid(text: &str, alphanumeric: bool) -> bool {
    let bytes = text.as_bytes();
    let top = match bytes.len() {
        11 => 11,
        14 => 9,
        _ => return false,
    };
    let letters = alphanumeric && top == 9;
    let known = bytes
        .iter()
        .all(|byte| byte.is_ascii_digit() || (letters && byte.is_ascii_uppercase()));
    if !known || bytes.iter().all(|byte| *byte == bytes[0]) {
        return false;
    }
    let digit = |upto: usize| {
        let weighted = bytes[..upto]
            .iter()
            .rev()
            .zip((2..=top).cycle())
            .map(|(byte, weight)| u32::from(byte - b'0') * weight);
        match weighted.sum::<u32>() % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    let last = |at: usize| u32::from(bytes[at].wrapping_sub(b'0'));
    digit(bytes.len() - 2) == last(bytes.len() - 2)
        && digit(bytes.len() - 1) == last(bytes.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_the_documents_are_known() {
        for right in [
            "52998224725",
            "24971563792",
            "12345678909",
            "11222333000181",
            "12ABC34501DE35",
        ] {
            assert!(is_valid(right, true), "{right}");
        }
        for wrong in [
            "52998224726",
            "11111111111",
            "1222333000181",
            "",
            "5299822472A",
        ] {
            assert!(!is_valid(wrong, true), "{wrong}");
        }
    }

    #[test]
    fn letters_in_a_cnpj_can_be_refused() {
        assert!(!is_valid("12ABC34501DE35", false));
        assert!(is_valid("11222333000181", false));
    }

    #[test]
    fn punctuation_and_case_do_not_matter() {
        assert_eq!(normal("12.abc.345/01de-35"), "12ABC34501DE35");
    }
}
