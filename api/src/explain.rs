//! `GET /docs/errors/{code}`.

use crate::{Code, Error, document::problems, input::Path};

problems!(NotFound);

/// Explain an error code
///
/// Returns the title and the remedy of an error code as text, for developers who follow a `doc_url`. Needs no API key.
#[utoipa::path(
    get,
    path = "/docs/errors/{code}",
    operation_id = "explain_error",
    tag = "errors",
    security(()),
    params(("code" = String, Path, description = "Error code.", example = "not_found")),
    responses(
        (status = 200, description = "The explanation.", body = String, content_type = "text/plain"),
        Problems,
    ),
)]
pub(crate) async fn explain(Path(code): Path<String>) -> Result<String, Error> {
    let code: Code = code.parse().map_err(|_| Error::not_found("error code"))?;
    let (status, explanation) = (code.status().as_u16(), code.explanation());
    Ok(format!(
        "{status} {}\n\n{}.\n\n{}\n",
        code.as_ref(),
        explanation.title,
        explanation.remedy
    ))
}
