//! The Pix copy-and-paste text of a dynamic charge.

use crc::{CRC_16_IBM_3740, Crc};

/// CRC-16/CCITT-FALSE under its registered name.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);

fn field(id: &str, value: &str) -> String {
    format!("{id}{:02}{value}", value.chars().count())
}

/// Returns the BR Code payload whose location (without a scheme) is `location`.
pub(crate) fn dynamic(location: &str, amount: &str) -> String {
    let account = field("00", "br.gov.bcb.pix") + &field("25", location);
    let text = [
        field("00", "01"),
        field("01", "12"),
        field("26", &account),
        field("52", "0000"),
        field("53", "986"),
        field("54", amount),
        field("58", "BR"),
        field("59", "LOJA SIMULADA"),
        field("60", "SAO PAULO"),
        field("62", &field("05", "***")),
        "6304".to_owned(),
    ]
    .concat();
    format!("{text}{:04X}", CRC.checksum(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_documents() {
        assert_eq!(CRC.checksum(b"123456789"), 0x29B1);
        let known = "00020126880014br.gov.bcb.pix2566qrcodes-pix.gerencianet.com.br/v2/7796e273b8e447c2b2c0ac2c58fe1a135204000053039865802BR5913FULANO DE TAL6009SAO PAULO62070503***6304";
        assert_eq!(CRC.checksum(known.as_bytes()), 0xB63E);
    }
}
