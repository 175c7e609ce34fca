/// The files that an operation's slices name, in the order in which they first name them.
///
/// In an operation that is written down a file is its place in this order, so that the bytes do not depend on where it
/// stands among a job's files.
public struct FileNumbering: Hashable, Sendable {
    /// The files, by their positions in the job's inventory.
    public private(set) var files: [Int] = []
    private var places: [Int: Int] = [:]

    /// Begins without files.
    init() {}

    /// Takes the order from a lease.
    init(_ files: [Int]) {
        self.files = files
    }

    /// A file's place, which is a new one when the file was not named before.
    mutating func place(of file: Int) -> UInt32 {
        if let place = places[file] { return UInt32(place) }
        places[file] = files.count
        files.append(file)
        return UInt32(files.count - 1)
    }

    /// The file at a place.
    func file(at place: UInt32) throws(OperationError) -> Int {
        guard place < files.count else { throw .malformed("file \(place) of \(files.count) is read") }
        return files[Int(place)]
    }
}
