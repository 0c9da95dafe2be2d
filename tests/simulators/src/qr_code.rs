//! QR codes as images.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use qrcode::{Color, QrCode, render::svg};

/// Pixels per module.
const SCALE: usize = 4;
/// White modules around the code.
const MARGIN: usize = 4;

/// Returns the code as `data:image/png;base64,…`.
pub(crate) fn png(text: &str) -> anyhow::Result<String> {
    let code = QrCode::new(text)?;
    let (width, modules) = (code.width(), code.into_colors());
    let side = (width + 2 * MARGIN) * SCALE;
    let pixel = |at: usize| {
        let (x, y) = (at % side / SCALE, at / side / SCALE);
        let inside = |n: usize| (MARGIN..MARGIN + width).contains(&n);
        let dark =
            inside(x) && inside(y) && modules[(y - MARGIN) * width + x - MARGIN] == Color::Dark;
        if dark { 0 } else { u8::MAX }
    };
    let pixels: Vec<u8> = (0..side * side).map(pixel).collect();
    let side = u32::try_from(side).context("a small picture")?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}

/// Returns the code as `data:image/svg+xml;base64,…`.
pub(crate) fn svg(text: &str) -> anyhow::Result<String> {
    let picture = QrCode::new(text)?.render::<svg::Color<'_>>().build();
    let picture = STANDARD.encode(picture);
    Ok(format!("data:image/svg+xml;base64,{picture}"))
}
