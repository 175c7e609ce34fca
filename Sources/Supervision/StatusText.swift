/// Writes durations for the page for people.
public enum StatusText {
    /// A measured duration: `8 s`, `3 min 05 s`, `2 h 07 min`.
    public static func exactly(_ span: Duration) -> String {
        let seconds = max(span.components.seconds, 0)
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
        func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
        if hours > 0 { return "\(hours) h \(two(minutes)) min" }
        return minutes > 0 ? "\(minutes) min \(two(seconds % 60)) s" : "\(seconds) s"
    }

    /// An estimated duration, rounded to what can be known.
    public static func about(seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "–" }
        switch seconds {
        case ..<60: return "about \(max(Int((seconds / 5).rounded(.up)) * 5, 5)) s"
        case ..<5400: return "about \(Int((seconds / 60).rounded(.up))) min"
        default: return "about \(Int((seconds / 3600).rounded(.up))) h"
        }
    }
}
