/// A form of a symmetric matrix in a file that takes fewer bytes than its packed fp32 triangle, and is not exact.
///
/// Source: DESIGN section 3, which describes the bytes.
public enum CompressedForm: Hashable, Sendable {
    /// The packed triangle in bfloat16, each element rounded to nearest even.
    case bf16
    /// The packed triangle in 8-bit integers, with a scale for every ``groupSize`` elements of a row.
    case int8
    /// The blocks on the diagonal, at most so many, all of ⌈n/blocks⌉ rows but a smaller last one.
    case blockDiagonal(blocks: Int)
    /// The sum of so many outer products, and a diagonal.
    case lowRank(rank: Int)

    /// The names of the forms in job files and metadata.
    public enum Word: String, Sendable, CaseIterable {
        /// ``CompressedForm/bf16``.
        case bf16
        /// ``CompressedForm/int8``.
        case int8
        /// ``CompressedForm/blockDiagonal(blocks:)``.
        case blockDiagonal = "block_diagonal"
        /// ``CompressedForm/lowRank(rank:)``.
        case lowRank = "low_rank"

        /// The key of the number that the form has besides its name; nil for a form without one.
        public var parameter: String? {
            switch self {
            case .bf16, .int8: nil
            case .blockDiagonal: "blocks"
            case .lowRank: "rank"
            }
        }
    }

    /// Elements of a row that share a scale.
    public static let groupSize = 64

    /// The form of a name and its number.
    ///
    /// It is nil for a number that the form has not, lacks, or cannot have.
    public init?(_ word: Word, parameter: Int?) {
        switch (word, parameter) {
        case (.bf16, nil): self = .bf16
        case (.int8, nil): self = .int8
        case (.blockDiagonal, let blocks?) where blocks > 0: self = .blockDiagonal(blocks: blocks)
        case (.lowRank, let rank?) where rank >= 0: self = .lowRank(rank: rank)
        default: return nil
        }
    }

    /// The form's name.
    public var word: Word {
        switch self {
        case .bf16: .bf16
        case .int8: .int8
        case .blockDiagonal: .blockDiagonal
        case .lowRank: .lowRank
        }
    }

    /// The number of blocks or the rank.
    public var parameter: Int? {
        switch self {
        case .bf16, .int8: nil
        case .blockDiagonal(let blocks): blocks
        case .lowRank(let rank): rank
        }
    }

    /// The rows of a block, and the rank of a matrix of this dimension, which no number exceeds.
    func limited(dimension: Int) -> (blockRows: Int, rank: Int) {
        switch self {
        case .bf16, .int8: (dimension, dimension)
        case .blockDiagonal(let blocks):
            (max(1, dimension / blocks + (dimension.isMultiple(of: blocks) ? 0 : 1)), dimension)
        case .lowRank(let rank): (dimension, min(rank, dimension))
        }
    }

    /// The bytes of a compressed matrix, or the largest number if they do not fit.
    ///
    /// - Parameter dimension: Rows of the matrix, at least 1.
    /// - Returns: The number of bytes.
    public func byteCount(dimension: Int) -> Int {
        func triangle(_ rows: Int) -> Int {
            let (even, odd) = rows.isMultiple(of: 2) ? (rows / 2, rows.saturatingSum(1)) : (rows / 2 + 1, rows)
            // n(n + 1)/2 with the even one of both halved: rows + 1 is even for an odd n.
            return even.saturatingProduct(odd)
        }
        let (blockRows, rank) = limited(dimension: dimension)
        switch self {
        case .bf16: return triangle(dimension).saturatingProduct(2)
        case .int8:
            return Self.groupCount(dimension: dimension).saturatingProduct(4).saturatingSum(triangle(dimension))
        case .blockDiagonal:
            let whole = triangle(blockRows).saturatingProduct(dimension / blockRows)
            return whole.saturatingSum(triangle(dimension % blockRows)).saturatingProduct(4)
        case .lowRank: return rank.saturatingSum(1).saturatingProduct(dimension).saturatingProduct(4)
        }
    }

    /// The scales of a matrix: ⌈r / ``groupSize``⌉ for the row of r elements.
    static func groupCount(dimension: Int) -> Int {
        let (whole, rest) = (dimension / groupSize, dimension % groupSize)
        let ofWhole = (whole.saturatingProduct(whole.saturatingSum(1)) / 2).saturatingProduct(groupSize)
        return ofWhole.saturatingSum(rest.saturatingProduct(whole + 1))
    }
}

/// How a matrix is compressed, as a reader needs to know it.
public struct Compression: Hashable, Sendable {
    /// The form of the stored bytes.
    public var form: CompressedForm
    /// What a reader adds to the diagonal, so that no eigenvalue is negative; at least 0.
    public var shift: Double

    /// Describes a compression.
    public init(form: CompressedForm, shift: Double = 0) {
        self.form = form
        self.shift = shift
    }
}
