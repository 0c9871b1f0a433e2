"""PDF files for tests: pages of given sizes, and what costs far more than it looks."""

from pathlib import Path


def make_pdf(path: Path, *pages: tuple[float, float]) -> Path:
    """Write a PDF with a page for each (width, height) in points, each a black lower left half."""
    return _write(
        path,
        *(
            _page(f"0 0 {width / 2} {height / 2} re f", width, height, 4 + 2 * number)
            for number, (width, height) in enumerate(pages)
        ),
    )


def with_text(path: Path, *texts: str) -> Path:
    """Write a PDF with a page of an inch for each text, which is in the file as text."""
    font = "/Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
    return _write(
        path,
        *(
            _page(f"BT /F 9 Tf 5 40 Td ({text}) Tj ET", 72, 72, 4 + 2 * number, font)
            for number, text in enumerate(texts)
        ),
    )


def memory_bomb(path: Path, side: int) -> Path:
    """Write a page on which twelve groups lie in each other, each as large as the page."""
    see_through = "/ExtGState << /G << /ca 0.5 /BM /Multiply >> >>"
    groups = []
    for inner in range(6, 18):
        body = f"/G gs {'/F Do' if inner < 17 else f'0 0 {side} {side} re f'}"
        group = (
            f"/Type /XObject /Subtype /Form /BBox [0 0 {side} {side}] /Group << /S /Transparency >>"
        )
        resources = f"/XObject << /F {inner} 0 R >> {see_through}"
        groups.append(_stream(f"{group} /Resources << {resources} >>", body))
    resources = f"/XObject << /F 5 0 R >> {see_through}"
    page = _page("/G gs /F Do", side, side, 4, resources)
    return _write(path, (*page, *groups))


def time_bomb(path: Path) -> Path:
    """Write a page that is filled with a pattern in steps of a thousandth of a point."""
    pattern = _stream(
        "/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 /BBox [0 0 1000 1000] "
        "/XStep 0.001 /YStep 0.001 /Resources << >>",
        "0 0 1 1 re f",
    )
    fill = "/Pattern cs /P scn 0 0 612 792 re f"
    return _write(path, (*_page(fill, 612, 792, 4, "/Pattern << /P 5 0 R >>"), pattern))


def many_pages(path: Path, count: int) -> Path:
    """Write a PDF of one page that says that it has `count`."""
    return _write(path, _page("", 72, 72, 4), count=count)


def locked(path: Path) -> Path:
    """Write a PDF that opens with a password which no one knows."""
    key = "<" + 32 * "41" + ">"
    entry = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O {key} /U {key} /P -4 >> /ID [{key} {key}]"
    data = _write(path, _page("", 72, 72, 4)).read_bytes()
    path.write_bytes(data.replace(b"/Root", f"{entry} /Root".encode()))
    return path


def _page(
    drawing: str, width: float, height: float, contents: int, resources: str = ""
) -> tuple[str, ...]:
    box = f"/MediaBox [0 0 {width} {height}] /Resources << {resources} >>"
    page = f"<< /Type /Page /Parent 2 0 R {box} /Contents {contents} 0 R >>"
    return page, _stream("", drawing)


def _stream(entries: str, data: str) -> str:
    return f"<< {entries} /Length {len(data)} >>\nstream\n{data}\nendstream"


def _write(path: Path, *pages: tuple[str, ...], count: int = 0) -> Path:
    """Write a PDF; the first object of each page is the page, and the first of all has number 3."""
    kids, objects = [], []
    for page in pages:
        kids.append(f"{3 + len(objects)} 0 R")
        objects += page
    tree = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {count or len(pages)} >>"
    data, places = b"%PDF-1.7\n", []
    for number, text in enumerate(["<< /Type /Catalog /Pages 2 0 R >>", tree, *objects], start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{text}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer\n<< /Size {len(places) + 1} /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF"
    head = f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n"
    path.write_bytes(data + f"{head}{table}{end}".encode())
    return path
