import Foundation

/// By what validation images chose a contender's β, and the size of its form.
struct ContenderChoice: Codable, Sendable, Equatable {
    /// The contender's id.
    var contender: String
    var seed: Int
    /// The strengths, ascending.
    var betas: [Double]
    /// The mean accuracy of the sum at α = 1 on validation images, in percent, by strength.
    var accuracies: [Double]
    /// The index of the chosen strength.
    var chosen: Int
    /// The numbers that the form keeps; nil for a penalty that keeps data.
    var storedElementCount: Int?
    /// The same for the image encoder of CLIP ViT-B/32.
    var largeElementCount: Int?

    /// A note for the page's reader.
    var note: String {
        let trials = zip(betas, accuracies).map { "\(Contender.text($0)) (\(String(format: "%.2f", $1)))" }
        // A best value at the end of a list may not be the best there is.
        let isAtEnd = betas.count > 1 && (chosen == 0 || chosen == betas.count - 1)
        return
            "\(contender), seed \(seed): β = \(Contender.text(betas[chosen])) of \(trials.joined(separator: ", ")), by "
            + "accuracy on validation images at α = 1"
            + (isAtEnd ? "; it is at the end of the list, so a better one may lie beyond." : ".")
            + (storedElementCount.map { " The form keeps \($0) numbers." } ?? "")
    }
}
