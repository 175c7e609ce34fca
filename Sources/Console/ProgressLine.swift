/// One line that says how far something is: name, bar, figures, and what is being done.
public struct ProgressLine: Equatable, Sendable {
    /// What it is about.
    public var name: String
    /// How much is done, from 0 to 1; `nil` without a bar.
    public var share: Double?
    /// What is told besides, the most important first.
    public var figures: [String]
    /// What is being done, or what is in the way.
    public var activity: String

    /// Gathers what a line tells.
    public init(name: String, share: Double?, figures: [String], activity: String) {
        self.name = name
        self.share = share
        self.figures = figures
        self.activity = activity
    }

    private static let bars = (least: 8, most: 28)
    /// An activity that is cut shorter says nothing any more.
    private static let activityMin = 12

    /// The line as it stands in a log: whole, without a bar.
    public var plain: String {
        DisplayWidth.cut(([name] + figures + [activity]).filter { !$0.isEmpty }.joined(separator: "  "), to: .max)
    }

    /// The line for a terminal of so many columns, of which it leaves the last one free: some wrap when it is written.
    ///
    /// What does not fit is given up in this order: length of the bar, the end of the activity, all of it, the bar, the
    /// figures from the last on. Without a share there is nothing but the activity to tell, which then comes first.
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
            // Three figures without a bar tell more than two with one.
            if width <= room { return "\(name)  \(figures)" }
        }
        return DisplayWidth.cut(name, to: room)
    }

    private func line(_ figures: String, room: Int, rest: Int) -> String {
        let wanted = activity.isEmpty ? 0 : DisplayWidth.columns(of: activity) + 2
        var bar = min(Self.bars.most, rest - wanted)
        if bar < Self.bars.least {
            // The activity is cut, or left out when nothing of it could be understood.
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
