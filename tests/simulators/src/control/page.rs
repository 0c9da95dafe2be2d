//! HTML pages for people. They call the control API from the browser.

use axum::{
    extract::{Path, State},
    response::Html,
};

use super::{ControlApis, ControlError};

/// Handles `GET /_sim`.
pub(super) async fn index(State(apis): State<ControlApis>) -> Html<String> {
    let link = |name: &str| format!("<li><a href=\"/_sim/{name}\">{name}</a></li>");
    let links: String = apis.0.iter().map(|api| link(api.sim().name)).collect();
    Html(include_str!("index.html").replace("{{links}}", &links))
}

/// Handles `GET /_sim/{gateway}`.
pub(super) async fn gateway(
    State(apis): State<ControlApis>,
    Path(gateway): Path<String>,
) -> Result<Html<String>, ControlError> {
    let name = apis.of(&gateway)?.sim().name;
    Ok(Html(include_str!("page.html").replace("{{gateway}}", name)))
}
