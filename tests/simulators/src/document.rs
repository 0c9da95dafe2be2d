//! Validation of CPF and CNPJ, including the alphanumeric CNPJ.

const FIRST_CNPJ: [u32; 12] = [5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
const SECOND_CNPJ: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
const FIRST_CPF: [u32; 9] = [10, 9, 8, 7, 6, 5, 4, 3, 2];
const SECOND_CPF: [u32; 10] = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2];

/// Returns true for eleven digits whose last two are valid check digits.
pub(crate) fn is_cpf(text: &str) -> bool {
    let alike = text.bytes().all(|byte| text.as_bytes()[0] == byte);
    text.len() == 11
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && !alike
        && checks(text, &FIRST_CPF)
        && checks(text, &SECOND_CPF)
}

/// Returns true for twelve digits or capital letters followed by two valid check digits.
pub(crate) fn is_cnpj(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| {
        byte.is_ascii_digit() || (at < FIRST_CNPJ.len() && byte.is_ascii_uppercase())
    };
    text.len() == 14
        && text.bytes().enumerate().all(is_right)
        && text.bytes().any(|byte| byte != b'0')
        && checks(text, &FIRST_CNPJ)
        && checks(text, &SECOND_CNPJ)
}

/// Returns true if the CNPJ contains letters; not every gateway accepts these.
pub(crate) fn has_letters(cnpj: &str) -> bool {
    cnpj.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Returns true if the character after the weighted ones is their check digit.
fn checks(text: &str, weights: &[u32]) -> bool {
    let mut values = text.bytes().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = values.clone().zip(weights).map(|(v, w)| v * w).sum();
    let digit = match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    values.nth(weights.len()) == Some(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_of_the_contract_are_right_and_their_neighbours_wrong() {
        for cpf in ["52998224725", "24971563792", "12345678909", "94271564656"] {
            assert!(is_cpf(cpf), "{cpf}");
        }
        for cpf in ["52998224726", "11111111111", "5299822472", "5299822472A"] {
            assert!(!is_cpf(cpf), "{cpf}");
        }
        for cnpj in ["11222333000181", "12ABC34501DE35"] {
            assert!(is_cnpj(cnpj), "{cnpj}");
        }
        for cnpj in [
            "11222333000182",
            "12ABC34501DE36",
            "12abc34501de35",
            "00000000000000",
        ] {
            assert!(!is_cnpj(cnpj), "{cnpj}");
        }
    }
}
