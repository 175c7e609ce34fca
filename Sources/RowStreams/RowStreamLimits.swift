/// The bounds of row streams.
public enum RowStreamLimits {
    /// Messages of rows of one stream that may be on their way without an answer, when there are few streams.
    public static let creditMax = 32
    /// The same when there are many streams.
    public static let creditMin = 4
    /// Messages of rows of all streams that may be on their way, unless each stream has the least.
    public static let creditOfAll = 128
    /// Ranges of finished sums that are asked for at once, of one stream.
    public static let rangesMax = 8
    /// Bytes of such a range.
    public static let rangeBytes = 1 << 20
    /// Bytes of a message of rows.
    public static let messageBytes = 1 << 20
}
