/// One line of progress: name, bar, figures, and the current activity.
public struct ProgressLine: Equatable, Sendable {
    /// The name of the work.
    public var name: String
    /// The finished share, from 0 to 1; `nil` without a bar.
    public var share: Double?
    /// Further figures, the most important first.
    public var figures: [String]
    /// The current activity, or the obstacle.
    public var activity: String

    /// Collects the parts of a line.
    public init(name: String, share: Double?, figures: [String], activity: String) {
        self.name = name
        self.share = share
        self.figures = figures
        self.activity = activity
    }

    private static let bars = (least: 8, most: 28)
    /// A shorter activity could not be understood.
    private static let activityMin = 12

    /// The line for a log: whole, without a bar.
    public var plain: String {
        DisplayWidth.cut(([name] + figures + [activity]).filter { !$0.isEmpty }.joined(separator: "  "), to: .max)
    }

    /// The line for a terminal of this many columns.
    ///
    /// The last column stays free, because some terminals wrap there.
    ///
    /// A line that does not fit loses, in this order: length of the bar, the activity's end, the whole activity, the
    /// bar, and the figures from the last on. Without a share only the activity remains, so it comes first.
    public func text(columns: Int) -> String {
        let room = max(1, columns - 1)
        guard share != nil else {
            let head = ([name] + figures).joined(separator: " ")
            return DisplayWidth.cut(activity.isEmpty ? head : "\(head) \(activity)", to: room)
        }
        for count in stride(from: figures.count, through: 0, by: -1) {
            let figures = figures.prefix(count).joined(separator: "  ")
            let width = DisplayWidth.columns(of: "\(name)  \(figures)")
            let rest = room - width - 1
            if rest >= Self.bars.least {
                return DisplayWidth.cut(line(figures, room: room, rest: rest), to: room)
            }
            // Without the bar a third figure fits, and it tells more.
            if width <= room { return "\(name)  \(figures)" }
        }
        return DisplayWidth.cut(name, to: room)
    }

    private func line(_ figures: String, room: Int, rest: Int) -> String {
        let wanted = activity.isEmpty ? 0 : DisplayWidth.columns(of: activity) + 2
        var bar = min(Self.bars.most, rest - wanted)
        if bar < Self.bars.least {
            // Cut the activity, or omit it when too little of it would remain.
            bar = rest - Self.bars.least >= Self.activityMin + 2 ? Self.bars.least : min(Self.bars.most, rest)
        }
        let head = "\(name) \(drawn(bar)) \(figures)"
        let left = room - DisplayWidth.columns(of: head) - 2
        guard !activity.isEmpty, left >= min(wanted - 2, Self.activityMin) else { return head }
        return "\(head)  \(DisplayWidth.cut(activity, to: left))"
    }

    private func drawn(_ width: Int) -> String {
        let filled = Int((min(1, max(0, share ?? 0)) * Double(width)).rounded(.down))
        return String(repeating: "█", count: filled) + String(repeating: "·", count: width - filled)
    }
}
