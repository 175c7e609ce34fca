/// The candidate nearest to a misspelt name, by edit distance; ties go to the first.
///
/// - Parameters:
///   - name: The written name.
///   - candidates: The names that would have been accepted.
/// - Returns: The nearest candidate, or `nil` when none is near enough.
public func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
    // The cost is the product of the lengths, and nobody misspells a text of this length by one letter.
    let byteCountMax = 200
    guard name.utf8.count <= byteCountMax else { return nil }
    let written = Array(name.lowercased())
    let distanceMax = max(2, name.count / 2)
    // Bounds the time for any number of names.
    var stepsLeft = 5_000_000
    var best: (name: String, distance: Int)?
    for candidate in candidates where candidate.utf8.count <= byteCountMax {
        // The lengths alone differ by more.
        guard abs(candidate.count - written.count) <= distanceMax else { continue }
        stepsLeft -= written.count * candidate.utf8.count
        guard stepsLeft > 0 else { break }
        let distance = editDistance(written, Array(candidate.lowercased()))
        if distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    guard let best, best.distance <= distanceMax else { return nil }
    return best.name
}

/// Levenshtein's distance: insertions, deletions and replacements that turn one text into the other.
private func editDistance(_ left: [Character], _ right: [Character]) -> Int {
    var row = Array(0...right.count)
    for (i, character) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in right.enumerated() {
            let replaced = diagonal + (character == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
        }
    }
    return row[right.count]
}

/// ` Did you mean "x"?`, or nothing when no candidate is near.
public func suggestion(for name: String, among candidates: some Sequence<String>) -> String {
    nearestName(to: name, among: candidates).map { " Did you mean \"\($0)\"?" } ?? ""
}
