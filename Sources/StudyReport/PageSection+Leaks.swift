import FoundationEssentials
import PageMarkup

extension PageSection {
    /// The table of what can be read of images, and for the first owner and seed the images that are read best.
    static func leaks(_ figures: [LeakFigure]) -> PageSection? {
        guard let table = StudyTables.leaks(figures) else { return nil }
        let first = figures.first { $0.recovered != nil }
        let panels = figures.filter { $0.owner == first?.owner && $0.seed == first?.seed }.compactMap { figure in
            RecoveredImages(figure)?.panel
        }
        let drawn = figure(
            [.tag("ul", ["class": "maps"], panels)],
            caption: "For each kind of sharing the captured images of \(first?.owner ?? "") that are read best: above, "
                + "the image; below, the row that is nearest to it, decoded by the model alone, from its darkest to its "
                + "brightest pixel. A row that was made from many images shows what they have in common."
        )
        return PageSection(
            anchor: "leaks", title: table.title, content: [HTMLTable(table).markup] + (panels.isEmpty ? [] : [drawn]))
    }
}

/// A picture of two lines: images, and below each what was read of it.
struct RecoveredImages {
    private let figure: LeakFigure
    private let images: LeakFigure.Recovered
    private let count: Int

    /// Pixels between neighbours.
    private static let gap = 2
    /// The grey between neighbours.
    private static let gapLevel: UInt8 = 160
    /// The length of a pixel on the page.
    private static let pixelLength = 1.15

    /// nil without images, or if the pixels are not those of square images.
    init?(_ figure: LeakFigure) {
        guard let images = figure.recovered, (1...256).contains(images.side) else { return nil }
        let size = images.side * images.side
        guard !images.images.isEmpty, images.images.count == images.readings.count,
            images.images.count.isMultiple(of: size)
        else { return nil }
        self.figure = figure
        self.images = images
        count = images.images.count / size
    }

    /// The picture with its name.
    var panel: Markup { .tag("li", [:], [.tag("p", [:], [.tag("strong", [:], figure.shared)]), picture]) }

    private var picture: Markup {
        let (columns, rows) = (length(count), length(2))
        let (width, height) = (Double(columns) * Self.pixelLength, Double(rows) * Self.pixelLength)
        let correlation = NumberText.fixed(100 * figure.largest.captured)
        return SVG.picture(
            width: width,
            height: height,
            title: "\(figure.shared): images of \(figure.owner) above what is read",
            description: "\(count) images; the largest correlation of all is \(correlation) %.",
            [
                .tag(
                    "image",
                    [
                        "x": "0", "y": "0", "width": SVG.coordinate(width), "height": SVG.coordinate(height),
                        "preserveAspectRatio": "none", "href": PNGImage(grey: sheet, width: columns).address,
                        "style": "image-rendering:pixelated",
                    ])
            ]
        )
    }

    /// The pixels of some images beside each other.
    private func length(_ count: Int) -> Int { count * images.side + (count - 1) * Self.gap }

    /// Both lines, `[height, width]`.
    private var sheet: [UInt8] {
        let (columns, side) = (length(count), images.side)
        var pixels = [UInt8](repeating: Self.gapLevel, count: columns * length(2))
        for (line, values) in [Array(images.images), Array(images.readings)].enumerated() {
            for (place, value) in values.enumerated() {
                let (image, pixel) = (place / (side * side), place % (side * side))
                let (row, column) = (line * (side + Self.gap) + pixel / side, image * (side + Self.gap) + pixel % side)
                pixels[row * columns + column] = value
            }
        }
        return pixels
    }
}
