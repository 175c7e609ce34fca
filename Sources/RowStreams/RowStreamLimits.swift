/// The bounds of row streams.
public enum RowStreamLimits {
    /// Open streams.
    public static let streamsMax = 32
    /// Messages of rows of one stream that may be on their way without an answer: the most and the least.
    public static let creditMax = 32
    public static let creditMin = 4
    /// Messages of rows of all streams that may be on their way, as long as streams need not have the least.
    public static let creditOfAll = 128
    /// Ranges of a finished sum that are asked for at once.
    public static let rangesMax = 8
    /// Bytes of such a range.
    public static let rangeBytes = 1 << 20
    /// The silence after which a stream ends; a step of training may take long.
    public static let silence: Duration = .seconds(600)
}
