//! Boleto lines as Efí writes them, parsed to digits.

use schemas::boleto_line::BoletoLine;

/// Bank number that no bank has. Boletos of the sandbox (homologação) begin with it, and their check digits are wrong.
const NO_BANK: &str = "000";
const LINE: usize = 47;

/// Returns the typeable line and the bar code's digits. Efí calls the line `barcode`.
pub(in crate::efi::cobrancas) fn read(text: &str) -> Option<(String, String)> {
    let strict = BoletoLine::from_line(text).or_else(|_| BoletoLine::from_barcode(text));
    match strict {
        Ok(read) => Some((read.line(), read.barcode().to_owned())),
        Err(_) => homologation(text),
    }
}

fn homologation(text: &str) -> Option<(String, String)> {
    let line: String = text.chars().filter(char::is_ascii_digit).collect();
    if line.len() != LINE || !line.starts_with(NO_BANK) {
        return None;
    }
    let barcode = format!(
        "{}{}{}{}{}",
        &line[0..4],
        &line[32..47],
        &line[4..9],
        &line[10..20],
        &line[21..31],
    );
    Some((line, barcode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_bars_and_homologations_zeros_are_read() {
        let line = "00190.50095 40144.816069 06809.350314 3 37370000000100";
        let digits = "00190500954014481606906809350314337370000000100";
        let bars = "00193373700000001000500940144816060680935031";
        let both = Some((digits.to_owned(), bars.to_owned()));
        assert_eq!(read(line), both);
        assert_eq!(read(bars), both);
        let zeros = "00000.00000 00000.000000 00000.000000 0 00000000012345";
        let (line, bars) = read(zeros).expect("homologation's own");
        assert_eq!(line, format!("{}12345", "0".repeat(42)));
        assert_eq!(bars.len(), 44);
        for wrong in [
            "",
            "12345",
            "00190.50095 40144.816069 06809.350314 9 37370000000100",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
