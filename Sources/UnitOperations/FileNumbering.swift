/// The files that an operation's slices name, numbered in the order of first use.
///
/// An encoded operation names a file by its number here. So its bytes do not depend on the file's position in a job.
public struct FileNumbering: Hashable, Sendable {
    /// The files, by their positions in the job's inventory.
    public private(set) var files: [Int] = []
    private var places: [Int: Int] = [:]

    /// Creates an empty numbering.
    init() {}

    /// Takes the numbering that a lease carries.
    init(_ files: [Int]) {
        self.files = files
    }

    /// The number of a file; a file without a number gets the next one.
    mutating func place(of file: Int) -> UInt32 {
        if let place = places[file] { return UInt32(place) }
        places[file] = files.count
        files.append(file)
        return UInt32(files.count - 1)
    }

    /// The file with a number.
    func file(at place: UInt32) throws(OperationError) -> Int {
        guard place < files.count else { throw .malformed("file \(place) of \(files.count) is read") }
        return files[Int(place)]
    }
}
