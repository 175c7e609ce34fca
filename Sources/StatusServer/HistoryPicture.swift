import Supervision

/// Draws the counts of minutes as bars, with the present at the right.
struct HistoryPicture {
    private static let barWidth = 12
    private static let height = 96

    let history: StatusHistory

    var html: String {
        let (most, sum) = (history.counts.max() ?? 0, history.counts.reduce(0, +))
        let (count, unit) = (history.counts.count, HTMLText.escaped(history.unit))
        guard most > 0 else { return "<p>no \(unit) in the last \(count) minutes</p>" }
        let width = count * Self.barWidth
        let bars = history.counts.enumerated().map { minute, value in
            // The smallest count is visible too.
            let height = value > 0 ? max(Self.height * value / most, 1) : 0
            let ago = count - 1 - minute
            let when = ago == 0 ? "this minute" : "\(ago) min ago"
            return "<rect x=\"\(minute * Self.barWidth)\" y=\"\(Self.height - height)\" width=\"\(Self.barWidth - 2)\" "
                + "height=\"\(height)\"><title>\(when): \(value) \(unit)</title></rect>"
        }
        return """
            <figure>
            <div class="wide">
            <svg class="history" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(Self.height)" \
            height="\(Self.height)" preserveAspectRatio="none" role="img" aria-label="\(sum) \(unit) in \(count) minutes">
            \(bars.joined(separator: "\n"))
            </svg>
            </div>
            <figcaption>\(sum) \(unit) in the last \(count) minutes, at most \(most) in one; the right end is \
            now.</figcaption>
            </figure>
            """
    }
}
