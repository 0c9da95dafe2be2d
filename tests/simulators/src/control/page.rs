//! Pages for people. They ask the control by themselves.

use axum::{
    extract::{Path, State},
    response::Html,
};

use super::{Books, Wrong};

/// `GET /_sim`.
pub(super) async fn index(State(books): State<Books>) -> Html<String> {
    let link = |name: &str| format!("<li><a href=\"/_sim/{name}\">{name}</a></li>");
    let links: String = books.0.iter().map(|book| link(book.sim().name)).collect();
    Html(include_str!("index.html").replace("{{links}}", &links))
}

/// `GET /_sim/{gateway}`.
pub(super) async fn gateway(
    State(books): State<Books>,
    Path(gateway): Path<String>,
) -> Result<Html<String>, Wrong> {
    let name = books.of(&gateway)?.sim().name;
    Ok(Html(include_str!("page.html").replace("{{gateway}}", name)))
}
