public import SystemPackage

/// Finds the files that a pattern names, below roots and within bounds.
///
/// Every directory is opened under the roots before its names are read. Links that lead outside are skipped like
/// missing names, so that the result reveals nothing about files outside. Source: DESIGN section 1.
public struct FileSearch {
    /// Limits for all patterns of a search together.
    public struct Limits: Sendable {
        /// The most directories that are read.
        public var directories = 10_000
        /// The most names in them.
        public var names = 1_000_000
        /// The most matching files, and the most directories that may lead to matches.
        public var matches = 20_000
        /// The longest time that a search may take.
        public var time: Duration = .seconds(30)

        /// The usual limits.
        public init() {}
    }

    private let roots: FileRoots
    private let limits: Limits
    private let start = ContinuousClock.now
    /// The number of directories that were read.
    public private(set) var directories = 0
    private var names = 0

    /// Searches below roots.
    public init(roots: FileRoots, limits: Limits = Limits()) {
        self.roots = roots
        self.limits = limits
    }

    /// The files and directories of a pattern, sorted by their bytes.
    ///
    /// An existing path matches itself, whatever characters it holds. The same holds for a name with brackets within a
    /// pattern. A path without special characters matches itself even when it does not exist.
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
            // The search starts below, at the first component that is a pattern.
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

    /// The matching names in a directory.
    private mutating func children(
        of place: FilePath, _ pattern: PathPattern, isLast: Bool
    ) throws(FileSearchError) -> [FilePath] {
        if let literal = pattern.literal {
            // Dots with backslashes are refused too.
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
            // A directory is opened, and so checked, when the search enters it.
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

    /// Whether an error means that nothing is there, or nothing that this user may see.
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

/// Why a search did not finish.
public enum FileSearchError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A path cannot be read, or lies outside.
    case roots(FileRootsError)
    /// The search exceeded its limits.
    case tooMuch(directories: Int, names: Int, matches: Int, seconds: Int)
    /// The caller no longer waits for the result.
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
