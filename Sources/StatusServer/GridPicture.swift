import Supervision

/// Draws a grid: one row for each stage, one column for each item; darker cells are further done.
struct GridPicture {
    private static let labelWidth = 120
    private static let rowHeight = 20
    private static let widthMax = 880

    let grid: StatusGrid

    var html: String {
        guard !grid.names.isEmpty, !grid.stages.isEmpty else { return "<p>none</p>" }
        let (width, height) = (Self.labelWidth + grid.names.count * cellWidth, grid.stages.count * Self.rowHeight + 4)
        let description =
            "\(grid.names.count) columns, from \(grid.names[0]) to \(grid.names[grid.names.count - 1]); "
            + "\(grid.stages.count) stages."
        let lines = grid.stages.indices.map { row(of: $0) }.joined(separator: "\n")
        let caption =
            "From left to right: \(shown(grid.names[0]))"
            + (grid.names.count > 1 ? " to \(shown(grid.names[grid.names.count - 1]))" : "")
            + ". A fuller cell is further done; an outlined one is being computed. Point at a cell for its name and numbers."
        return """
            <figure>
            <div class="wide">
            <svg class="grid" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" \
            height="\(height)" role="img" aria-label="\(shown(description))">
            \(lines)
            </svg>
            </div>
            <figcaption>\(caption)</figcaption>
            </figure>
            """
    }

    private var cellWidth: Int { min(max((Self.widthMax - Self.labelWidth) / grid.names.count, 6), 24) }

    private func row(of stage: Int) -> String {
        let top = stage * Self.rowHeight + 2
        let label = "<text x=\"\(Self.labelWidth - 8)\" y=\"\(top + 13)\">\(shown(grid.stages[stage]))</text>"
        let cells = grid.cells[stage].enumerated().map { position, cell in
            let x = Self.labelWidth + position * cellWidth
            let place = "x=\"\(x)\" y=\"\(top)\" width=\"\(cellWidth - 1)\" height=\"\(Self.rowHeight - 3)\""
            let name = "\(shown(grid.names[position])): \(shown(grid.stages[stage]))"
            guard cell.total > 0 else { return "<rect class=\"none\" \(place)><title>\(name): nothing</title></rect>" }
            let tenths = 10 * cell.finished / cell.total
            let kind = cell.isActive ? "cell active" : "cell"
            return "<rect class=\"\(kind) s\(min(max(tenths, 0), 10))\" \(place)>"
                + "<title>\(name) \(cell.finished) of \(cell.total)</title></rect>"
        }
        return label + cells.joined()
    }

    private func shown(_ text: String) -> String { HTMLText.escaped(HTMLText.shortened(text, to: 120)) }
}
