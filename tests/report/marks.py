"""What a browser has drawn of each figure of a page, counted there."""

DRAWN = """() => Object.fromEntries([...document.querySelectorAll("figure.drawing")].map((drawing) => {
  const plot = drawing.querySelector(".plot"), count = (marks) => plot.querySelectorAll(marks).length;
  const cells = () => plot.calcdata.flat().flatMap((each) => (each.z ?? []).flat()).filter(Number.isFinite).length;
  const kinds = {
    point: () => count(".scatterlayer path.point"), line: () => count(".scatterlayer path.js-line"),
    bar: () => count(".barlayer .point path"), cell: cells,
  };
  return [drawing.id, [drawing.dataset.mark, kinds[drawing.dataset.mark](), Number(drawing.dataset.rows)]];
}))"""
"""Figure -> kind of its marks, how many are drawn, rows of its table. A heat map is one image: its cells are counted in
what plotly drew it from."""
