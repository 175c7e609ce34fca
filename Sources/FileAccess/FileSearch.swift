public import SystemPackage

/// Finds the files that a pattern names, below roots and within bounds.
///
/// Every directory is opened under the roots before a name in it is looked at. Links that lead outside are passed over,
/// as names are that do not exist: the outcome tells nobody what lies outside. Source: DESIGN section 1.
public struct FileSearch {
    /// How much is looked at for all patterns of a search together.
    public struct Limits: Sendable {
        /// Most directories that are read.
        public var directories = 10_000
        /// Most names in them.
        public var names = 1_000_000
        /// Most files, and most directories that may lead to some.
        public var matches = 20_000
        /// The longest that it may take.
        public var time: Duration = .seconds(30)

        /// The usual limits.
        public init() {}
    }

    private let roots: FileRoots
    private let limits: Limits
    private let start = ContinuousClock.now
    /// Directories that were read.
    public private(set) var directories = 0
    private var names = 0

    /// Searches below roots.
    public init(roots: FileRoots, limits: Limits = Limits()) {
        self.roots = roots
        self.limits = limits
    }

    /// The files and directories of a pattern, sorted by their bytes.
    ///
    /// A path that exists is itself, whatever characters it holds, and so is a name with brackets within a pattern; a
    /// path without special characters is itself, whether it exists or not.
    ///
    /// - Parameter pattern: An absolute path without `.` and `..`.
    /// - Returns: The paths; none when nothing matches.
    /// - Throws: ``FileSearchError``.
    public mutating func files(of pattern: FilePath) throws(FileSearchError) -> [FilePath] {
        let components = Array(pattern.components)
        guard let first = components.firstIndex(where: { PathPattern.isPattern($0.string) }) else { return [pattern] }
        do throws(FileRootsError) {
            if try roots.kind(of: pattern) != nil { return [pattern] }
        } catch {
            // Where it begins to be a pattern decides, below.
        }
        var places = [FilePath(root: pattern.root, components[..<first])]
        do { try roots.requireInside(places[0]) } catch { throw .roots(error) }
        for (index, component) in components.enumerated().dropFirst(first) {
            let pattern = PathPattern(component.string)
            var next: [FilePath] = []
            for place in places {
                next += try children(of: place, pattern, isLast: index + 1 == components.count)
                guard next.count <= limits.matches else { throw exhausted(matches: next.count) }
            }
            places = next
        }
        return places.sorted { $0.string.utf8.lexicographicallyPrecedes($1.string.utf8) }
    }

    /// What lies in a directory and matches.
    private mutating func children(
        of place: FilePath, _ pattern: PathPattern, isLast: Bool
    ) throws(FileSearchError) -> [FilePath] {
        if let literal = pattern.literal {
            // Also behind backslashes dots lead nowhere.
            guard literal != ".", literal != ".." else { return [] }
            let child = place.appending(literal)
            if isLast, try exists(child) == false { return [] }
            return [child]
        }
        let present = try names(in: place)
        var matching: [String] = []
        if pattern.hasOnlyBrackets, present.contains(pattern.text) {
            matching = [pattern.text]
        } else {
            matching = present.filter(pattern.matches)
        }
        var children: [FilePath] = []
        for name in matching {
            let child = place.appending(name)
            // A directory is opened, and so checked, when it is looked into.
            if isLast, try exists(child) == false { continue }
            children.append(child)
        }
        return children
    }

    private mutating func names(in directory: FilePath) throws(FileSearchError) -> [String] {
        guard !Task.isCancelled else { throw .cancelled }
        guard directories < limits.directories, ContinuousClock.now - start < limits.time else {
            throw exhausted(matches: 0)
        }
        directories += 1
        do throws(FileRootsError) {
            let found = try roots.names(in: directory, limit: limits.names - names)
            names += found.count
            return found
        } catch .tooManyNames {
            names = limits.names
            throw exhausted(matches: 0)
        } catch {
            guard Self.isPassedOver(error) else { throw .roots(error) }
            return []
        }
    }

    private func exists(_ path: FilePath) throws(FileSearchError) -> Bool {
        do throws(FileRootsError) {
            return try roots.kind(of: path) != nil
        } catch {
            guard Self.isPassedOver(error) else { throw .roots(error) }
            return false
        }
    }

    /// Whether an error says that there is nothing, or nothing for this user, at a place.
    private static func isPassedOver(_ error: FileRootsError) -> Bool {
        switch error {
        case .outside, .notFile: true
        case .callFailed(_, _, let code):
            [.noSuchFileOrDirectory, .notDirectory, .permissionDenied, .tooManySymbolicLinkLevels, .fileNameTooLong]
                .contains(code)
        case .unusableRoot, .tooManyNames: false
        }
    }

    private func exhausted(matches: Int) -> FileSearchError {
        .tooMuch(
            directories: directories, names: names, matches: matches,
            seconds: Int((ContinuousClock.now - start).components.seconds))
    }
}

/// Why files were not searched to the end.
public enum FileSearchError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A place cannot be read, or lies outside.
    case roots(FileRootsError)
    /// There is more to look at than is looked at.
    case tooMuch(directories: Int, names: Int, matches: Int, seconds: Int)
    /// Nobody waits for it any more.
    case cancelled

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .roots(let error): error.description
        case .tooMuch(let directories, let names, let matches, let seconds):
            "the search was given up after \(directories) directories, \(names) names in them, \(matches) matches and "
                + "\(seconds) s. Name the files more exactly."
        case .cancelled: "the search was ended."
        }
    }
}
